/**
 * Which settings hold secrets, and how they are shown without.
 *
 * @module
 */

/** Stands for what is not shown. */
const MASK = "PASSWORD";
/** Addresses of servers: they hold a secret or none. */
const SERVERS = ["TQ_DATABASE_URL", "TQ_REDIS_URL"];
/** Other settings that are secrets as a whole. Addresses are among them: hooks have their secret in the path. */
const SECRET_NAMES = /URL|TOKEN|SECRET|PASSWORD|HOOK|DSN|_KEYS?$/;
/** A password, or a user that may be one, in an address of any kind. */
const CREDENTIALS = /:\/\/[^/\s]*@/;
/** Parameters of a server's address that are fit to be shown. */
const HARMLESS_PARAMETERS = /^(sslmode|ssl|application_name|connect_timeout|target_session_attrs|family|db)$/;

/** Whether this value of a setting must not be shown. */
export function isSecret(name: string, value: string): boolean {
  if (SERVERS.includes(name)) return maskServer(value) !== value;
  return SECRET_NAMES.test(name) || CREDENTIALS.test(value);
}

/** A secret as it may be shown: a server's address without its password, anything else not at all. */
export function maskSecret(name: string, value: string): string {
  return SERVERS.includes(name) ? maskServer(value) : MASK;
}

function maskServer(value: string): string {
  const url = new URL(value);
  // A password with / ? or # in it that was not escaped: what stands where says nothing then.
  if (url.hash !== "" || /@/.test(url.pathname + url.search)) return `${url.protocol}//${MASK}`;
  const unknown = [...url.searchParams.keys()].filter((name) => !HARMLESS_PARAMETERS.test(name));
  if (url.password === "" && unknown.length === 0) return value;
  if (url.password !== "") url.password = MASK;
  for (const name of unknown) url.searchParams.set(name, MASK);
  return url.href;
}
