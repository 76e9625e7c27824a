/**
 * `tq publish`
 *
 * @module
 */

import { InputError } from "../errors.ts";
import type { JsonObject } from "../task.ts";
import type { AddCommand } from "./add_command.ts";
import { openQueue, prepare } from "./context.ts";
import {
  addPublishOptions,
  type PublishFlags,
  publishOptionsOf,
  reportPublished,
  waitSecondsOf,
} from "./publish_options.ts";
import { readJson } from "./read.ts";

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
    );
  addPublishOptions(command).addHelpText(
    "after",
    `
Examples:
  tq publish demo.Report on_tq_run_summary '{"id": 22, "kind": "HOURLY"}'
  tq publish myapp.MyModel on_tq_clean --delay 5m --unique clean
  tq publish --file tasks.ndjson`,
  );
  command.action(
    async (
      model: string | undefined,
      fname: string | undefined,
      json: string,
      flags: PublishFlags & { file?: string },
    ) => {
      if (flags.file !== undefined) {
        if (model !== undefined) {
          throw new InputError("both a model and --file are given", { remedy: "give one of them" });
        }
        const { publishFile } = await import("./publish_file.ts");
        return await publishFile(flags.file, flags);
      }
      if (model === undefined || fname === undefined) {
        throw new InputError(
          model === undefined ? "a model and a function are missing" : "a function is missing",
          {
            remedy: "tq publish demo.Report on_tq_run_summary '{\"id\": 22}'",
          },
        );
      }
      const options = publishOptionsOf(flags);
      const waitSeconds = waitSecondsOf(flags);
      const data = await readJson(json);
      await using queue = await openQueue(await prepare());
      const id = await queue.publish(model, fname, data as JsonObject, options);
      exit(await reportPublished(queue, id, flags, waitSeconds));
    },
  );
};
