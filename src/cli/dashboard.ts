/**
 * `tq dashboard`
 *
 * @module
 */

import type { IncomingMessage } from "node:http";
import { systemClock, within } from "../clock.ts";
import { InputError, messageOf, TqError, UnreachableError } from "../errors.ts";
import { need, type Settings } from "../settings.ts";
import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";
import { print } from "./output.ts";

interface Flags {
  view?: true;
  url?: string;
  open: boolean;
}

/** The server must answer by then, milliseconds. */
const DEADLINE = 10_000;
/** With NODE_USE_ENV_PROXY, node:http would look for a proxy as well. */
const DIRECT = { keepAlive: false, proxyEnv: {} };

/** Adds the command. */
export const addDashboard: AddCommand = (program) => {
  program.command("dashboard")
    .description("print a link that signs a browser in once, and open it")
    .option("--view", "for looking only")
    .option("--url <address>", "the server as the browser reaches it: https://tq.example.com")
    .option("--no-open", "print the link only")
    .addHelpText("after", "\nExample:\n  tq dashboard --no-open")
    .action(async (flags: Flags) => {
      const base = flags.url === undefined ? undefined : originOf(flags.url);
      const settings = await prepare();
      const address = await addressOf(settings);
      const { path, seconds } = await askForLink(settings, address, flags.view ? "view" : undefined);
      const link = (base ?? address) + path;
      print(link);
      console.error(`It signs in once, within ${seconds / 60} minutes.`);
      if (flags.open && Deno.stdout.isTerminal()) await openBrowser(link);
    });
};

/** Where the server of these settings listens, as a program on this machine reaches it. */
async function addressOf(settings: Settings): Promise<string> {
  const { PidFile } = await import("../supervisor/pidfile.ts");
  const { readStatus } = await import("../supervisor/status_file.ts");
  if (settings.TQ_HTTP === undefined) {
    throw new TqError("TQ_HTTP is off: nothing serves a dashboard", { remedy: "set TQ_HTTP=127.0.0.1:7654" });
  }
  const varFolder = need(settings.varFolder, "var");
  const pid = PidFile.holder(varFolder);
  if (pid === undefined) throw new TqError("the engine does not run", { remedy: "use tq start" });
  const status = await readStatus(varFolder);
  const url = status?.pid === pid ? status.http : undefined;
  if (typeof url !== "string") {
    throw new TqError("the engine serves no dashboard yet", { remedy: "see tq logs, and try again" });
  }
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}

async function askForLink(
  settings: Settings,
  address: string,
  right: "view" | undefined,
): Promise<Link> {
  const token = await tokenOf(settings);
  let answer: Answer | undefined;
  try {
    const asked = post(`${address}/rpc/taskqueue/sign-in-link`, token, right === undefined ? {} : { right });
    answer = await within(systemClock, DEADLINE, asked);
    if (answer === undefined) throw new Error(`no answer within ${DEADLINE / 1000} s`);
  } catch (error) {
    throw new UnreachableError(`${address} does not answer (${messageOf(error)})`, {
      cause: error,
      remedy: "see tq logs",
    });
  }
  if ("data" in answer) return answer.data;
  throw new TqError(answer.error);
}

/** A link, and how long it is good for. */
interface Link {
  readonly path: string;
  readonly seconds: number;
}

/** What the server says. */
type Answer = { readonly data: Link } | { readonly error: string };

/** Not by `fetch`: that obeys HTTP_PROXY on the way to this machine too, and a proxy would see the token. */
async function post(url: string, token: string, body: unknown): Promise<Answer> {
  const { Agent, request } = await import("node:http");
  const { json } = await import("node:stream/consumers");
  const asked = request(url, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    agent: new Agent(DIRECT),
  });
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  asked.on("response", resolve).on("error", reject).end(JSON.stringify(body));
  return await json(await promise) as Answer;
}

/** A token that starts sessions with as much right as there is. */
async function tokenOf(settings: Settings): Promise<string> {
  const own = settings.TQ_API_TOKENS;
  if (own !== undefined) return (own.find(({ right }) => right === "manage") ?? own[0])?.token ?? "";
  const { tokenPath } = await import("../http/token_file.ts");
  const path = tokenPath(need(settings.varFolder, "var"));
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch (error) {
    throw new TqError(`${path} cannot be read (${messageOf(error)})`, {
      cause: error,
      remedy: "run this as the user that runs the engine",
    });
  }
}

function originOf(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return new URL(text).origin;
  throw new InputError(`--url is ${JSON.stringify(text)}`, { remedy: "give http:// or https:// and a host" });
}

/** Opens the link where there is a browser to open it; the link is printed in any case. */
async function openBrowser(link: string): Promise<void> {
  const isMac = Deno.build.os === "darwin";
  if (!isMac && Deno.env.get("DISPLAY") === undefined && Deno.env.get("WAYLAND_DISPLAY") === undefined) {
    return;
  }
  try {
    const command = new Deno.Command(isMac ? "open" : "xdg-open", {
      args: [link],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
    await command.output();
  } catch {
    // There is no such program.
  }
}
