/**
 * `tq completions`: a script that completes commands and options, made of what the commands say of themselves.
 * Channels, handlers and ids it asks for with `tq __complete`.
 *
 * The scripts need nothing installed but tq. (Those of @bomb.sh/tab 0.0.22 call
 * functions of the package bash-completion, fail when a shell reads them twice, and evaluate what was typed.)
 *
 * @module
 */

import type { Command } from "npm:commander@15.1.0";
import { InputError } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import type { Asked } from "./complete.ts";
import { print } from "./output.ts";

/** What the values of options are. */
const VALUES: Readonly<Record<string, Asked>> = {
  "--channel": "channels",
  "--model": "models",
  "--fname": "functions",
  "--state": "states",
  "--task": "tasks",
};
/** What the arguments of commands are; `publish` has a model, then its function. */
const IDS: Readonly<Record<string, Asked>> = { task: "tasks", retry: "ended", cancel: "open" };

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
  const values = Object.entries(VALUES).map(([option, asked]) => `      ${option}) words= ask=(${asked}) ;;`);
  const ids = Object.entries(IDS).map(([name, asked]) => `          ${name}:*) ask=(${asked}) ;;`);
  return `_tq() {
  local current=\${COMP_WORDS[COMP_CWORD]} words=
  local -a ask=()
  if ((COMP_CWORD == 1)); then
    words='${commands.map((command) => command.name).join(" ")} --help --version'
  else
    case \${COMP_WORDS[1]} in
${cases.join("\n")}
    esac
    case \${COMP_WORDS[COMP_CWORD - 1]} in
${values.join("\n")}
      *)
        case \${COMP_WORDS[1]}:$COMP_CWORD in
          publish:2) ask=(models) ;;
          publish:3) ask=(functions "\${COMP_WORDS[2]}") ;;
${ids.join("\n")}
        esac ;;
    esac
    if [[ \${#ask[@]} -gt 0 && $current != -* ]]; then
      words+=" $(tq __complete "\${ask[@]}" 2>/dev/null </dev/null)"
    fi
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
      const asked = VALUES[option.name];
      const value = asked === undefined ? ": :_files" : `: : _tq_asked ${asked}`;
      return quoted(`${option.name}[${description}]${option.takes ? value : ""}`);
    });
    const asked = IDS[name];
    if (name === "publish") {
      specs.push("'1: : _tq_asked models'", "'2: : _tq_asked functions $words[2]'");
    }
    if (asked !== undefined) specs.push(`'*: : _tq_asked ${asked}'`);
    else specs.push(words.length === 0 ? "'*: :_files'" : quoted(`*: :(${words.join(" ")})`));
    return `    ${name}) _arguments ${specs.join(" ")} ;;`;
  });
  return `#compdef tq
_tq_asked() {
  local -a names=(\${(f)"$(tq __complete "$@" 2>/dev/null </dev/null)"})
  compadd -a names
}
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
  const offer = (condition: string, what: string) => `complete -c tq -n '${condition}' -f -a ${quoted(what)}`;
  const ask = (what: string) => `(tq __complete ${what} 2>/dev/null </dev/null)`;
  return commands.flatMap(({ name, description, options, words }) => {
    const condition = `__fish_seen_subcommand_from ${name}`;
    const place = (count: number) => `${condition}; and test (count (commandline -opc)) -eq ${count}`;
    const ids = IDS[name];
    return [
      `complete -c tq -n __fish_use_subcommand -f -a ${name} -d ${quoted(description)}`,
      ...options.map((option) => {
        const asked = VALUES[option.name];
        const value = asked === undefined ? " -r" : ` -x -a ${quoted(ask(asked))}`;
        return `complete -c tq -n '${condition}' -l ${option.name.slice(2)}` +
          `${option.takes ? value : ""} -d ${quoted(option.description)}`;
      }),
      ...(words.length === 0 ? [] : [offer(condition, words.join(" "))]),
      ...(ids === undefined ? [] : [offer(condition, ask(ids))]),
      ...(name === "publish"
        ? [offer(place(2), ask("models")), offer(place(3), ask("functions (commandline -opc)[3]"))]
        : []),
    ];
  }).join("\n");
}

/** In single quotes, for any of the shells: an apostrophe ends them, stands alone, and opens them again. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}
