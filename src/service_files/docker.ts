/**
 * A Dockerfile, and a compose file with Postgres and Redis.
 *
 * @module
 */

import type { ServicePlan } from "./plan.ts";
import { composeText } from "./quote.ts";

/** The project and what tq keeps, inside the container. */
const ROOT = "/srv/tq";
const HOME = "/var/lib/tq";
/** Seconds beyond the drain time that a container gets to end. */
const LAST_WORDS = 30;

/** Where REST and the dashboard are, unless a setting names another port. */
const HTTP_PORT = 7654;
/** Settings for which the compose file has values of its own. */
const OWN = ["TQ_DATABASE_URL", "TQ_REDIS_URL", "TQ_HTTP", "TQ_API_TOKENS"];

/**
 * The text of the Dockerfile. Its context is the project's folder, with the executable in `dist/`.
 *
 * @param version of this tq
 */
export function dockerfile(plan: ServicePlan, version: string): string {
  return `# Printed by \`tq service --docker dockerfile\` of tq ${version}; save it as Dockerfile in the project's folder.
# dist/tq there is the executable for the architecture of the image: of \`deno task compile\`, or of a release.
FROM debian:trixie-slim

RUN useradd --system --uid 10001 --home-dir ${HOME} --create-home tq

COPY --chmod=755 dist/tq /usr/local/bin/tq
${copyHandlers(plan)}
ENV TQ_ROOT=${ROOT} TQ_VAR=${HOME}/var
WORKDIR ${ROOT}
USER tq
VOLUME ${HOME}
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["tq", "status"]
ENTRYPOINT ["tq"]
CMD ["run"]
`;
}

function copyHandlers({ handlers }: ServicePlan): string {
  if (handlers === undefined) return `RUN mkdir -p ${ROOT}/handlers\n`;
  // A dollar sign would name a variable, here too.
  const paths = [handlers, `${ROOT}/handlers`].map((path) => JSON.stringify(path.replaceAll("$", "\\$")));
  return `# What handlers import from elsewhere in the project must be copied as well.\nCOPY [${
    paths.join(", ")
  }]\n`;
}

/**
 * The text of the compose file. Secrets are variables, which compose reads from `.env` beside it.
 *
 * @param version of this tq
 */
export function composeFile(plan: ServicePlan, version: string): string {
  const secrets = secretsOf(plan);
  const lines = [
    `# Printed by \`tq service --docker compose\` of tq ${version}; save it as compose.yaml beside the Dockerfile.`,
    "# Secrets are read from .env beside it, which belongs into no repository. Once:",
    "#",
    "#   umask 077",
    ...Object.entries(secrets).map(([name, made]) => `#   echo "${name}=${made}" >> .env`),
    "#   docker compose up --build --detach --wait",
    `name: ${plan.name.toLowerCase()}`,
    "",
    "services:",
    "  tq:",
    ...tqService(plan, Object.keys(secrets)),
    "",
    ...SERVERS,
  ];
  return lines.join("\n") + "\n";
}

/** What must stand in `.env`, and how it is made. */
function secretsOf({ secrets, httpPort }: ServicePlan): Record<string, string> {
  const random = "$(openssl rand -hex 24)";
  const others = secrets.map(({ name }) => name).filter((name) => !OWN.includes(name));
  return {
    POSTGRES_PASSWORD: random,
    // Beyond loopback tq serves with tokens alone.
    ...(httpPort === undefined ? {} : { TQ_API_TOKENS: `manage:${random}` }),
    ...Object.fromEntries(others.map((name) => [name, "…"])),
  };
}

function tqService(plan: ServicePlan, secrets: readonly string[]): string[] {
  const { settings, handlers, handlersFolder, drainTimeout, httpPort } = plan;
  const port = httpPort || HTTP_PORT;
  const others = settings.filter((one) => !OWN.includes(one.name));
  const mount = `${handlersFolder}:${ROOT}/handlers:ro`;
  return [
    "    build: .",
    "    init: true",
    "    restart: unless-stopped",
    `    # TQ_DRAIN_TIMEOUT is ${drainTimeout} s.`,
    `    stop_grace_period: ${Math.ceil(drainTimeout) + LAST_WORDS}s`,
    "    read_only: true",
    "    tmpfs: [/tmp]",
    "    cap_drop: [ALL]",
    '    security_opt: ["no-new-privileges:true"]',
    "    depends_on:",
    "      postgres: { condition: service_healthy }",
    "      redis: { condition: service_healthy }",
    "    environment:",
    `      TQ_DATABASE_URL: "postgres://tq:${variable("POSTGRES_PASSWORD")}@postgres:5432/tq"`,
    '      TQ_REDIS_URL: "redis://redis:6379/0"',
    `      TQ_HTTP: "${httpPort === undefined ? "off" : `0.0.0.0:${port}`}"`,
    ...others.map(({ name, value }) => `      ${name}: ${composeText(value)}`),
    ...secrets.filter((name) => name !== "POSTGRES_PASSWORD").map((name) =>
      `      ${name}: "${variable(name)}"`
    ),
    ...(httpPort === undefined ? [] : ["    ports:", `      - "127.0.0.1:${port}:${port}"`]),
    "    volumes:",
    `      - tq:${HOME}`,
    ...(handlers === undefined ? [`      - ${composeText(mount)}`] : []),
    "    logging: { driver: local }",
  ];
}

/** A variable that compose insists on. */
function variable(name: string): string {
  return `\${${name}:?write it into .env}`;
}

const SERVERS = [
  "  postgres:",
  "    image: postgres:17",
  "    restart: unless-stopped",
  "    stop_grace_period: 60s",
  "    environment:",
  "      POSTGRES_USER: tq",
  "      POSTGRES_DB: tq",
  `      POSTGRES_PASSWORD: "${variable("POSTGRES_PASSWORD")}"`,
  "    volumes:",
  "      - postgres:/var/lib/postgresql/data",
  "    healthcheck:",
  "      # By its address: while it makes the database it answers on its socket alone.",
  "      test: [CMD, pg_isready, --host=127.0.0.1, --username=tq, --dbname=tq]",
  "      interval: 5s",
  "      timeout: 5s",
  "      retries: 12",
  "      start_period: 30s",
  "    logging: { driver: local }",
  "",
  "  redis:",
  "    image: redis:8",
  "    restart: unless-stopped",
  "    # It holds hints alone, which Postgres gives again: nothing of it is kept.",
  '    command: [redis-server, --save, "", --appendonly, "no", --maxmemory-policy, noeviction]',
  "    volumes:",
  "      - redis:/data",
  "    healthcheck:",
  "      test: [CMD, redis-cli, ping]",
  "      interval: 5s",
  "      timeout: 5s",
  "      retries: 12",
  "    logging: { driver: local }",
  "",
  "volumes:",
  "  tq:",
  "  postgres:",
  "  redis:",
];
