import assert from "node:assert/strict";
import { join } from "node:path";
import { type CronFacts, examineCron, judgeCron } from "../../src/doctor/cron.ts";
import { tempFolder } from "../support/fixtures.ts";

const ROOT = "/srv/shop";
const LINE = `*/5 * * * * TQ_DATABASE_URL=postgres://db/x TQ_ROOT=${ROOT} /usr/local/bin/tq periodic`;

function judge(more: Partial<CronFacts>) {
  return judgeCron({ crontab: { text: "" }, files: [], units: [], ...more }, ROOT);
}

Deno.test("cron: a line of this project is found in any crontab", () => {
  const good = [
    LINE,
    `# tq\n\n${LINE}\n`,
    `* * * * * TQ_ROOT='${ROOT}' '/opt/my tools/tq' periodic`,
    `* * * * * cd ${ROOT} && tq periodic`,
    `TQ_ROOT=${ROOT}\n*/5 * * * * tq periodic >/dev/null`,
    `*/5 * * * * TQ_ROOT=${ROOT} /usr/bin/deno run -A --quiet /opt/tq/main.ts periodic`,
  ];
  for (const text of good) {
    assert.equal(judge({ crontab: { text } }).level, "ok", text);
    const file = judge({ files: [{ name: "/etc/cron.d/tq", text }] });
    assert.equal(`${file.level} ${file.found}`, "ok /etc/cron.d/tq has the line");
    assert.equal(judge({ crontab: undefined, files: [{ name: "x", text }] }).level, "ok");
  }
});

Deno.test("cron: lines that are not this project's do not count", () => {
  const others = [
    `${LINE.replaceAll(ROOT, "/srv/shop2")}`,
    `${LINE.replaceAll(ROOT, "/srv/shop-two")}`,
    `TQ_ROOT=${ROOT}\nTQ_ROOT=/srv/other\n* * * * * tq periodic`,
  ];
  for (const text of others) {
    const finding = judge({ crontab: { text } });
    assert.equal(finding.level, "warning", text);
    assert.match(finding.found, /^the crontab has a line of tq periodic, but none for \/srv\/shop$/);
  }
  for (const text of ["", `#${LINE}`, ` # ${LINE}`, `* * * * * ${ROOT}/bin/periodical`, `TQ_ROOT=${ROOT}`]) {
    const finding = judge({ crontab: { text } });
    assert.equal(finding.level, "warning", text);
    assert.match(finding.found, /^no line starts the engine/);
    assert.match(finding.remedy ?? "", /tq periodic --install/);
  }
});

Deno.test("cron: a systemd unit that runs the project does as well", () => {
  const unit = (text: string) => judge({ units: [{ name: "/etc/systemd/system/tq.service", text }] });
  const good = unit(`[Service]\nWorkingDirectory=${ROOT}\nExecStart=/usr/local/bin/tq run\n`);
  assert.equal(`${good.level} ${good.found}`, "ok not needed: systemd has /etc/systemd/system/tq.service");
  assert.equal(unit(`WorkingDirectory=${ROOT}\nExecStart=/usr/bin/node server.js\n`).level, "warning");
  assert.equal(unit(`WorkingDirectory=/srv/other\nExecStart=/usr/local/bin/tq run\n`).level, "warning");
});

Deno.test("cron: without a crontab command there is a note, and one that refuses is told", () => {
  assert.equal(judge({ crontab: undefined }).level, "note");
  const refused = judge({ crontab: { refusal: "you are not allowed" } });
  assert.equal(refused.level, "warning");
  assert.match(refused.found, /you are not allowed/);
});

/** Looks while `crontab` is this shell script; undefined takes the command away. */
async function examinedWith(script: string | undefined, root: string) {
  await using folder = await tempFolder();
  if (script !== undefined) {
    await Deno.writeTextFile(join(folder.path, "crontab"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const path = Deno.env.get("PATH") ?? "";
  Deno.env.set("PATH", folder.path);
  try {
    return await examineCron(root);
  } finally {
    Deno.env.set("PATH", path);
  }
}

Deno.test("cron: asks crontab -l, whatever it answers", async () => {
  const root = `/srv/${crypto.randomUUID()}`;
  const line = `*/5 * * * * TQ_ROOT=${root} tq periodic`;
  const installed = await examinedWith(`test "$1" = -l && echo '${line}'`, root);
  assert.equal(`${installed.level} ${installed.found}`, "ok the crontab has the line");
  assert.match((await examinedWith("echo 'no crontab for shop' >&2; exit 1", root)).found, /^no line starts/);
  assert.match((await examinedWith("echo 'not allowed' >&2; exit 1", root)).found, /refuses \(not allowed\)/);
  const missing = await examinedWith(undefined, root);
  assert.match(`${missing.level} ${missing.found}`, /^(note there is none|warning no line starts)/);
  const started = performance.now();
  const hangs = await examinedWith("exec /bin/sleep 60", root);
  assert.match(hangs.found, /refuses \(no answer within 3 s\)/);
  assert.ok(performance.now() - started < 8000);
});
