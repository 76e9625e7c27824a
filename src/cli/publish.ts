/**
 * `tq publish`
 *
 * @module
 */

import { InputError } from "../errors.ts";
import type { JsonObject } from "../task.ts";
import type { AddCommand } from "./add_command.ts";
import { openQueue, prepare } from "./context.ts";
import { printJson } from "./output.ts";
import {
  addPublishOptions,
  type PublishFlags,
  publishOptionsOf,
  reportPublished,
  waitSecondsOf,
} from "./publish_options.ts";
import { readJson } from "./read.ts";

interface Flags extends PublishFlags {
  file?: string;
  spool?: true;
}

/** Adds the command. */
export const addPublish: AddCommand = (program, exit) => {
  const command = program.command("publish")
    .description("publish a task; prints its id once it is committed")
    .argument("[model]", "app.Model, or app for a module of functions")
    .argument("[fname]", "the method or function")
    .argument("[json]", "its data: a JSON object, - for stdin, @file for a file", "{}")
    .option(
      "--file <path>",
      "publish many: a JSON object a line, {model, fname, data, …options}; - for stdin",
    )
    .option("--spool", "if Postgres cannot be reached, keep it in var/spool, to be published later");
  addPublishOptions(command).addHelpText(
    "after",
    `
Examples:
  tq publish demo.Report on_tq_run_summary '{"id": 22, "kind": "HOURLY"}'
  tq publish myapp.MyModel on_tq_clean --delay 5m --unique clean
  tq publish --file tasks.ndjson`,
  );
  command.action(async (model: string | undefined, fname: string | undefined, json: string, flags: Flags) => {
    if (flags.file !== undefined) {
      if (model !== undefined) refuse("both a model and --file are given", "give one of them");
      const { publishFile } = await import("./publish_file.ts");
      return await publishFile(flags.file, flags);
    }
    if (model === undefined) refuse("a model and a function are missing", EXAMPLE);
    if (fname === undefined) refuse("a function is missing", EXAMPLE);
    if (flags.spool && flags.wait !== undefined) {
      refuse("both --spool and --wait are given", "give one of them");
    }
    const options = publishOptionsOf(flags);
    const waitSeconds = waitSecondsOf(flags);
    const data = await readJson(json) as JsonObject;
    const settings = await prepare();
    await using queue = await openQueue(settings);
    const { emptySpool, publishOrSpool } = await import("./publish_spool.ts");
    const id = flags.spool
      ? await publishOrSpool(queue, settings, { model, fname, data, options })
      : await queue.publish(model, fname, data, options);
    if (id === undefined) return flags.json && printJson({ spooled: true });
    exit(await reportPublished(queue, id, flags, waitSeconds));
    await emptySpool(queue, settings);
  });
};

const EXAMPLE = "tq publish demo.Report on_tq_run_summary '{\"id\": 22}'";

function refuse(what: string, remedy: string): never {
  throw new InputError(what, { remedy });
}
