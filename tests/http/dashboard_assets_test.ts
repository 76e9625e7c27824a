/**
 * The dashboard's files: as the policy of the server allows them, typed, and the same in the executable.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { needTest } from "../support/need.ts";
import { REPOSITORY } from "../support/tq.ts";
import { tempFolder } from "../support/fixtures.ts";
import { WebSite } from "./site.ts";

const FOLDER = join(REPOSITORY, "src/http/dashboard/assets");
const files = [...walk("")];

function* walk(folder: string): Iterable<{ name: string; text: string }> {
  for (const entry of Deno.readDirSync(join(FOLDER, folder))) {
    const name = folder + entry.name;
    if (entry.isDirectory) yield* walk(`${name}/`);
    else yield { name, text: Deno.readTextFileSync(join(FOLDER, name)) };
  }
}

Deno.test("no file of the dashboard has what its policy forbids, or makes HTML of text", () => {
  const forbidden: readonly (readonly [RegExp, RegExp])[] = [
    [/\.html$/, /<script(?![^>]*\bsrc=")|<style|\bstyle=|\bon\w+=/i],
    [
      /\.js$/,
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc/,
    ],
    [/\.js$/, /setAttribute\("style"|\bstyle: /],
    // Nothing is asked of another host; the one address is a name, of what SVG is.
    [/\.(js|css|html)$/, /https?:\/\/(?!www\.w3\.org\/2000\/svg")|@import|url\(/],
  ];
  for (const { name, text } of files) {
    for (const [kind, pattern] of forbidden) {
      if (kind.test(name)) assert.doesNotMatch(text, pattern, name);
    }
    assert.ok(text.split("\n").length <= 300, `${name} is too long`);
  }
  assert.ok(files.length > 15);
});

Deno.test("the dashboard's scripts are typed", async () => {
  await using folder = await tempFolder();
  const config = join(folder.path, "deno.json");
  await Deno.writeTextFile(
    config,
    JSON.stringify({
      nodeModulesDir: "none",
      compilerOptions: {
        strict: true,
        noUncheckedIndexedAccess: true,
        exactOptionalPropertyTypes: true,
        checkJs: true,
        lib: ["esnext", "dom", "dom.iterable", "deno.ns"],
      },
    }),
  );
  const check = async (...paths: string[]) => {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", "--no-lock", "--config", config, ...paths],
      env: { NO_COLOR: "1" },
      stdout: "null",
      stderr: "piped",
    }).output();
    return { success, said: new TextDecoder().decode(stderr) };
  };
  const { success, said } = await check(join(FOLDER, "main.js"), join(FOLDER, "theme.js"));
  assert.ok(success, said);
  // So that it is known to find something.
  const wrong = join(folder.path, "wrong.js");
  await Deno.writeTextFile(
    wrong,
    `import { h } from "file://${FOLDER}/dom.js";\nh("p", {}, h("p")).hrefs;\n`,
  );
  assert.match((await check(wrong)).said, /Property 'hrefs' does not exist/);
});

needTest(["postgres"], "files are served to anybody, with a tag that saves sending them again", async () => {
  await using site = await WebSite.make();
  const types: Record<string, string> = {
    html: "text/html; charset=utf-8",
    js: "text/javascript; charset=utf-8",
    css: "text/css; charset=utf-8",
    svg: "image/svg+xml",
  };
  for (const { name, text } of files) {
    const answer = await fetch(`${site.url}/assets/${name}`);
    assert.equal(await answer.text(), text, name);
    assert.equal(answer.headers.get("content-type"), types[name.split(".").at(-1)!]);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(answer.headers.get("cache-control"), "no-cache");
    const again = await fetch(`${site.url}/assets/${name}`, {
      headers: { "if-none-match": answer.headers.get("etag")! },
    });
    assert.deepEqual([again.status, await again.text()], [304, ""]);
  }
  const icon = await fetch(`${site.url}/favicon.ico`);
  assert.deepEqual([icon.status, icon.headers.get("content-type")], [200, "image/svg+xml"]);
  await icon.body?.cancel();
});

needTest(["postgres"], "pages lead to the sign-in page, and back", async () => {
  await using site = await WebSite.make();
  for (const path of ["/", "/tasks?state=failed&search=a%20b", "/task/7", "/handlers", "/tasks/"]) {
    const answer = await fetch(site.url + path, { redirect: "manual" });
    await answer.body?.cancel();
    assert.equal(answer.status, 302, path);
    assert.equal(answer.headers.get("location"), `/sign-in?next=${encodeURIComponent(path)}`);
  }
  for (const path of ["/task/x", "/task/7/log", "/nothing"]) {
    const answer = await fetch(site.url + path, { redirect: "manual" });
    await answer.body?.cancel();
    assert.equal(answer.status, 404, path);
  }
});

Deno.test("every script is asked for at once, not one after the other as imports are found", () => {
  const page = files.find(({ name }) => name === "index.html")!.text;
  const asked = [...page.matchAll(/(?:src|href)="\/assets\/([^"]+\.(?:js|css))"/g)].map(([, name]) => name);
  const there = files.map(({ name }) => name).filter((name) => /\.(js|css)$/.test(name));
  assert.deepEqual(asked.sort(), there.sort());
});
