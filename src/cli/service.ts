/**
 * `tq service`
 *
 * @module
 */

import { InputError } from "../errors.ts";
import { selfCommand } from "../self.ts";
import { VERSION } from "../version.ts";
import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";
import { print, write } from "./output.ts";

interface Flags {
  systemd?: true;
  /** The file that is asked for; true for both. */
  docker?: string | true;
}

/** Adds the command. */
export const addService: AddCommand = (program) => {
  const command = program.command("service")
    .description("print a unit for systemd, or files for containers, made from the settings")
    .option("--systemd", "print a unit, which runs the engine in the foreground")
    .addHelpText(
      "after",
      `
Secrets are not printed: the files say where they belong.

Examples:
  tq service --systemd
  tq service --docker dockerfile > Dockerfile
  tq service --docker compose > compose.yaml`,
    )
    .action(async (flags: Flags) => await printFiles(flags));
  command.addOption(
    command.createOption("--docker [file]", "print a dockerfile, a compose file, or both").conflicts(
      "systemd",
    ),
  );
};

async function printFiles({ systemd, docker }: Flags): Promise<void> {
  if (systemd === undefined && docker === undefined) {
    throw new InputError("service does not know which files to print", {
      remedy: "give --systemd or --docker",
    });
  }
  if (typeof docker === "string" && docker !== "dockerfile" && docker !== "compose") {
    throw new InputError(`--docker is ${JSON.stringify(docker)}`, {
      remedy: "give dockerfile, compose or nothing",
    });
  }
  const settings = await prepare();
  const { planService } = await import("../service_files/plan.ts");
  const plan = await planService(settings, Deno.env.toObject());
  if (systemd) {
    const { systemdUnit } = await import("../service_files/systemd.ts");
    return write(systemdUnit(plan, {
      command: selfCommand,
      version: VERSION,
      denoFolder: Deno.env.get("DENO_DIR"),
    }));
  }
  const { composeFile, dockerfile } = await import("../service_files/docker.ts");
  if (docker === "dockerfile") return write(dockerfile(plan, VERSION));
  if (docker === "compose") return write(composeFile(plan, VERSION));
  print(`# ==== Dockerfile ====\n${dockerfile(plan, VERSION)}\n# ==== compose.yaml ====`);
  write(composeFile(plan, VERSION));
}
