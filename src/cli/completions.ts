/**
 * `tq completions`: a script that completes commands and options, made of what the commands say of themselves.
 *
 * The scripts stand alone: they ask nobody at TAB, and need nothing installed. (Those of @bomb.sh/tab 0.0.22 call
 * functions of the package bash-completion, fail when a shell reads them twice, and evaluate what was typed.)
 *
 * @module
 */

import type { Command } from "npm:commander@15.1.0";
import { InputError } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import { print } from "./output.ts";

/** What can be completed after a command's name. */
interface Completed {
  readonly name: string;
  readonly description: string;
  readonly options: readonly {
    readonly name: string;
    readonly takes: boolean;
    readonly description: string;
  }[];
  /** What its argument may be; files when nothing is named. */
  readonly words: readonly string[];
}

const SHELLS: Readonly<Record<string, (commands: readonly Completed[]) => string>> = { bash, zsh, fish };

/** Adds the command. */
export const addCompletions: AddCommand = (program) => {
  program.command("completions")
    .description("print shell completions: bash, zsh or fish")
    .argument("<shell>", "bash, zsh or fish")
    .addHelpText(
      "after",
      `
Examples:
  source <(tq completions bash)        in ~/.bashrc
  source <(tq completions zsh)         in ~/.zshrc, after compinit
  tq completions fish | source         in ~/.config/fish/config.fish`,
    )
    .action((name: string) => {
      const script = Object.hasOwn(SHELLS, name) ? SHELLS[name] : undefined;
      if (script === undefined) {
        throw new InputError(`there are no completions for ${JSON.stringify(name)}`, {
          remedy: `give one of ${Object.keys(SHELLS).join(", ")}`,
        });
      }
      print(script(completedOf(program)));
    });
};

function completedOf(program: Command): Completed[] {
  const help = program.createHelp();
  const commands = help.visibleCommands(program);
  const names = commands.map((command) => command.name());
  const words: Readonly<Record<string, readonly string[]>> = {
    completions: Object.keys(SHELLS),
    help: names,
  };
  return commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    options: help.visibleOptions(command).map((option) => ({
      name: option.long ?? "",
      takes: option.required,
      description: option.description,
    })),
    words: words[command.name()] ?? [],
  }));
}

function bash(commands: readonly Completed[]): string {
  const cases = commands.map(({ name, options, words }) =>
    `      ${name}) words='${[...options.map((option) => option.name), ...words].join(" ")}' ;;`
  );
  return `_tq() {
  local current=\${COMP_WORDS[COMP_CWORD]} words=
  if ((COMP_CWORD == 1)); then
    words='${commands.map((command) => command.name).join(" ")} --help --version'
  else
    case \${COMP_WORDS[1]} in
${cases.join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _tq tq`;
}

function zsh(commands: readonly Completed[]): string {
  const described = commands.map(({ name, description }) =>
    `    ${quoted(`${name}:${description.replaceAll(":", "\\:")}`)}`
  );
  const cases = commands.map(({ name, options, words }) => {
    const specs = options.map((option) => {
      const description = option.description.replaceAll(/[[\]\\:]/g, "\\$&");
      return quoted(`${option.name}[${description}]${option.takes ? ": :_files" : ""}`);
    });
    specs.push(words.length === 0 ? "'*: :_files'" : quoted(`*: :(${words.join(" ")})`));
    return `    ${name}) _arguments ${specs.join(" ")} ;;`;
  });
  return `#compdef tq
_tq() {
  local -a commands=(
${described.join("\n")}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  shift words
  ((CURRENT--))
  case $words[1] in
${cases.join("\n")}
  esac
}
compdef _tq tq`;
}

function fish(commands: readonly Completed[]): string {
  return commands.flatMap(({ name, description, options, words }) => [
    `complete -c tq -n __fish_use_subcommand -f -a ${name} -d ${quoted(description)}`,
    ...options.map((option) =>
      `complete -c tq -n '__fish_seen_subcommand_from ${name}' -l ${option.name.slice(2)}` +
      `${option.takes ? " -r" : ""} -d ${quoted(option.description)}`
    ),
    ...(words.length === 0
      ? []
      : [`complete -c tq -n '__fish_seen_subcommand_from ${name}' -f -a ${quoted(words.join(" "))}`]),
  ]).join("\n");
}

/** In single quotes, for any of the shells: an apostrophe ends them, stands alone, and opens them again. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}
