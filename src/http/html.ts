/**
 * Pages without script: text is escaped, and nothing is fetched from other hosts.
 *
 * @module
 */

/** HTML that is safe to send. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly Part[];

/** Makes HTML; whatever is put in is escaped, but for other HTML. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((text, i) => text + show(parts[i] ?? "")).join(""));
}

/** A whole page. */
export function page(title: string, body: Html): string {
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>${title}</title>
        <link rel="stylesheet" href="/plain.css">
      </head>
      <body>
        <main>
    ${body}
        </main>
      </body>
    </html>
  `.text;
}

/** The look of these pages. */
export const PLAIN_CSS = `:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; padding: 1rem; }
main { max-width: 48rem; margin: 0 auto; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.1rem; margin-top: 2.5rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { overflow-x: auto; padding: 0.75rem; border: 1px solid; border-radius: 0.25rem; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0; }
label, input, button { display: block; font: inherit; }
input { width: 100%; max-width: 30rem; box-sizing: border-box; margin: 0.25rem 0 1rem; padding: 0.5rem; }
button { padding: 0.5rem 1.5rem; }
`;

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function show(part: Part): string {
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map(show).join("");
  return String(part).replaceAll(/[&<>"']/g, (one) => ESCAPES[one] ?? one);
}
