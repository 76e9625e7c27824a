/**
 * Writes `docs/settings.md` from the declarations in `src/config.ts`: `deno task docs`.
 *
 * @module
 */

import { documentSettings } from "../src/config.ts";

const PAGE = new URL("settings.md", import.meta.url);

const HEAD = `<!-- Written by \`deno task docs\` from src/config.ts: change it there. -->

# Settings

A setting is an environment variable, or a key of the same name in \`tq.json\`, a JSON object in the project's folder:

\`\`\`json
{ "TQ_DATABASE_URL": "postgres://user:password@127.0.0.1:5432/shop", "TQ_WORKERS": 20 }
\`\`\`

What is given in several places is taken from the first of: an option of the command (or an argument of \`new TaskQueue\`), the environment, \`tq.json\`, the default. \`DATABASE_URL\` and \`REDIS_URL\`, which other programs share, come after \`tq.json\`. An empty variable counts as not given. Settings are read once, at the start.

- Durations: \`90\`, \`90s\`, \`500ms\`, \`5m\`, \`2h\`, \`7d\`. A bare number is in the unit of the default.
- Sizes: bytes, or \`512k\`, \`4m\`, \`1g\`.
- Switches: \`true\`, \`1\`, \`on\`; \`false\`, \`0\`, \`off\`.
- Log levels: \`debug\`, \`info\`, \`warning\`, \`error\`. Log formats: \`text\`, \`json\`.

A bad value, or an unknown key in \`tq.json\`, stops the program with one line that names it and what is allowed (exit code 2). An unknown \`TQ_…\` in the environment is a warning that names the nearest setting.

| setting | default | meaning |
| --- | --- | --- |
`;

const FOOT = `
\`NO_COLOR\` is honoured: with it, or through a pipe, commands print plain text.

\`var/database\` names the database that \`var/\` belongs to: whoever starts an engine writes it, and whoever publishes into an embedded database. A command whose settings name another one exits with 2 and names both. Remove that file when the database has moved.
`;

/** The page, as it should be. */
export function settingsPage(): string {
  const rows = documentSettings().map(({ name, fallback, default: shown, help }) => {
    const names = fallback === undefined ? code(name) : `${code(name)}, else ${code(fallback)}`;
    return `| ${[names, shown, help].map(cell).join(" | ")} |\n`;
  });
  return HEAD + rows.join("") + FOOT;
}

function code(text: string): string {
  return `\`${text}\``;
}

/** Text in a table: a bar would end its cell. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

if (import.meta.main) await Deno.writeTextFile(PAGE, settingsPage());
