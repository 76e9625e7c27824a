import assert from "node:assert/strict";
import { join } from "node:path";
import { compiledTest } from "./binary.ts";
import { Server } from "./server.ts";

const HANDLERS = {
  "app.js": `
    export function who(task) {
      let wrote = true;
      try { Deno.writeTextFileSync("mark", ""); } catch { wrote = false; }
      task.completed({ uid: Deno.uid(), wrote });
    }`,
};
/** Rights do not stop root: then commands run as `nobody`, who has no home folder either. */
const NOBODY = { uid: 65534, gid: 65534 };

compiledTest([], "any user runs it on a root that is read-only, with TQ_VAR elsewhere", async () => {
  const isRoot = Deno.uid() === 0;
  const settings: Record<string, string> = {};
  await using server = await Server.make({
    handlers: HANDLERS,
    settings,
    ...(isRoot ? { user: NOBODY } : {}),
  });
  settings.TQ_VAR = await server.folder("var");
  const folders = [join(server.path, "handlers"), server.path];
  for (const folder of folders) await Deno.chmod(folder, 0o555);
  using _writable = {
    [Symbol.dispose]() {
      for (const folder of folders) Deno.chmodSync(folder, 0o755);
    },
  };
  await server.good("start");
  const task = await server.ended(await server.publish("app", "who"));
  assert.deepEqual(task.result, { uid: isRoot ? NOBODY.uid : Deno.uid(), wrote: false });
  assert.equal(await server.good("periodic"), "");
  assert.equal(await server.good("reload"), "reloaded\n");
  assert.match(await server.good("logs"), /New code was taken/);
  assert.equal(await server.good("stop"), "stopped\n");
  assert.deepEqual([...Deno.readDirSync(server.path)].map(({ name }) => name).sort(), ["handlers", "tq"]);
  const kept = [...Deno.readDirSync(server.varFolder)].map(({ name }) => name);
  for (const name of ["database", "db", "tq_worker.log", "tq_worker.pid"]) {
    assert.ok(kept.includes(name), name);
  }
});

compiledTest([], "a var folder that may not be written is told in one line", async () => {
  await using server = await Server.make({
    handlers: HANDLERS,
    ...(Deno.uid() === 0 ? { user: NOBODY } : {}),
  });
  await Deno.chmod(server.path, 0o555);
  using _writable = { [Symbol.dispose]: () => Deno.chmodSync(server.path, 0o755) };
  for (const args of [["start"], ["periodic"], ["publish", "app", "who"]]) {
    const { code, stdout, stderr } = await server.run(args);
    assert.deepEqual([code === 0, stdout], [false, ""], args.join(" "));
    assert.match(stderr, /^tq: .*\/var\b.*\n$/, args.join(" "));
  }
});
