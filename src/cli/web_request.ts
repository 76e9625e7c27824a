/**
 * `tq web-request`
 *
 * @module
 */

import { InputError } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import { openQueue, prepare } from "./context.ts";
import {
  addPublishOptions,
  given,
  type PublishFlags,
  publishOptionsOf,
  reportPublished,
  seconds,
  waitSecondsOf,
} from "./publish_options.ts";
import { readJson } from "./read.ts";

/** Adds the command. */
export const addWebRequest: AddCommand = (program, exit) => {
  const command = program.command("web-request")
    .description("publish a web request: a POST of JSON, tried again while the receiver is in trouble")
    .argument("<url>", "http or https")
    .argument("[json]", "the body: JSON, - for stdin, @file for a file; for GET and HEAD the query")
    .option("--method <name>", "the HTTP method", "POST")
    .option("--header <header>", 'a request header, "name: value"; may be given again', collect)
    .option("--request-timeout <duration>", "how long one request may take (TQ_WEB_TIMEOUT)");
  addPublishOptions(command).addHelpText(
    "after",
    `
Example:
  tq web-request https://example.com/hook '{"id": 22}' --header "X-Team: a"`,
  );
  command.action(
    async (
      url: string,
      json: string | undefined,
      flags: PublishFlags & { method: string; header?: string[]; requestTimeout?: string },
    ) => {
      const options = {
        ...publishOptionsOf(flags),
        method: flags.method,
        headers: headersOf(flags.header ?? []),
        requestTimeout: given(flags.requestTimeout, (text) => seconds("--request-timeout", text)),
      };
      const waitSeconds = waitSecondsOf(flags);
      const data = json === undefined ? undefined : await readJson(json);
      await using queue = await openQueue(await prepare());
      const id = await queue.webRequest(url, data, options);
      exit(await reportPublished(queue, id, flags, waitSeconds));
    },
  );
};

function collect(value: string, earlier: string[] = []): string[] {
  return [...earlier, value];
}

function headersOf(texts: readonly string[]): Record<string, string> {
  const headers = new Map<string, string>();
  for (const text of texts) {
    const [, name, value = ""] = /^([^:]+):(.*)$/s.exec(text) ?? [];
    // The value may be a secret: it is not repeated.
    if (name === undefined) throw new InputError("a --header has no colon", { remedy: 'give "name: value"' });
    if (headers.has(name.trim())) {
      throw new InputError(`--header sets ${JSON.stringify(name.trim())} twice`, {
        remedy: "join the values",
      });
    }
    headers.set(name.trim(), value.trim());
  }
  return Object.fromEntries(headers);
}
