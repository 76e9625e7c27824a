/**
 * `tq doctor`
 *
 * @module
 */

import { dirname } from "node:path";
import type { Finding, Level } from "../doctor/finding.ts";
import { COMPILED } from "../self.ts";
import type { AddCommand } from "./add_command.ts";
import { oneLine, paint, print, printJson } from "./output.ts";

/** Adds the command. */
export const addDoctor: AddCommand = (program, exit) => {
  program.command("doctor")
    .description("say what is not well here and how to mend it; exit 1 if anything is bad")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq doctor")
    .action(async (flags: { json?: true }) => {
      const { examine } = await import("../doctor/doctor.ts");
      const findings: Finding[] = [];
      for await (
        const finding of examine({ executableFolder: COMPILED ? dirname(Deno.execPath()) : undefined })
      ) {
        findings.push(finding);
        if (!flags.json) print(lineOf(finding));
      }
      const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
      const [bad, warnings] = [count("bad"), count("warning")];
      if (flags.json) printJson({ bad, warnings, findings });
      else print(summary(bad, warnings));
      if (bad > 0) exit(1);
    });
};

const PAINTS: Readonly<Record<Level, (text: string) => string>> = {
  ok: paint.green,
  note: paint.dim,
  warning: paint.yellow,
  bad: paint.red,
};

/** The longest names of a level and of a check. */
const LEVEL_COLUMNS = 7;
const CHECK_COLUMNS = 12;

function lineOf({ check, level, found, remedy }: Finding): string {
  const mark = PAINTS[level](level.padEnd(LEVEL_COLUMNS));
  const mend = remedy === null ? "" : `${paint.dim(" →")} ${oneLine(remedy)}`;
  return `${mark}  ${check.padEnd(CHECK_COLUMNS)}  ${oneLine(found)}${mend}`;
}

function summary(bad: number, warnings: number): string {
  const warned = warnings === 0 ? "" : warnings === 1 ? ", 1 warning" : `, ${warnings} warnings`;
  if (bad > 0) return paint.red(`${bad} bad${warned}`);
  return warned === "" ? paint.green("all is well") : paint.yellow(`nothing is bad${warned}`);
}
