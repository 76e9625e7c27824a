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
  type PublishFlags,
  publishOptionsOf,
  readJson,
  reportPublished,
} from "./publish_options.ts";

/** Adds the command. */
export const addWebRequest: AddCommand = (program, exit) => {
  const command = program.command("web-request")
    .description("publish a web request: a POST of JSON, tried again while the receiver is in trouble")
    .argument("<url>", "http or https")
    .argument("[json]", "the body: JSON, - for stdin, @file for a file; for GET and HEAD the query")
    .option("--method <name>", "the HTTP method", "POST")
    .option("--header <name: value>", "a request header; may be given again", collect, []);
  addPublishOptions(command).addHelpText(
    "after",
    `
Example:
  tq web-request https://example.com/hook '{"id": 22}' --header "X-Team: reports"`,
  );
  command.action(
    async (
      url: string,
      json: string | undefined,
      flags: PublishFlags & { method: string; header: string[] },
    ) => {
      const options = publishOptionsOf(flags);
      const data = json === undefined ? undefined : await readJson(json);
      const headers = Object.fromEntries(flags.header.map(parseHeader));
      await using queue = await openQueue(await prepare());
      const id = await queue.webRequest(url, data, { ...options, method: flags.method, headers });
      exit(await reportPublished(queue, id, flags));
    },
  );
};

function collect(value: string, earlier: string[]): string[] {
  return [...earlier, value];
}

function parseHeader(text: string): [string, string] {
  const at = text.indexOf(":");
  if (at <= 0) throw new InputError(`--header is ${JSON.stringify(text)}`, { remedy: 'give "name: value"' });
  return [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}
