import assert from "node:assert/strict";
import { PGlite } from "npm:@electric-sql/pglite@0.5.14";
import { SessionServer } from "../../src/store/session_server.ts";
import { eventually } from "../support/fixtures.ts";
import { TestClock } from "../support/test_clock.ts";
import { bind, EXECUTE, FLUSH, message, parse, query, startup, SYNC, Wire } from "../support/wire.ts";

const PREPARED = "select count(*) from pg_prepared_statements";

// The sanitizers are off: Postgres sets timers within PGlite, and what is broken is not closed. The last step looks.
Deno.test({
  name: "the one session of the embedded database is shared by all",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const session = await PGlite.create();
    const clock = new TestClock();
    const onBroken = () => broken = true;
    let broken = false;
    const server = await SessionServer.start({ session, clock, onBroken });
    const { port } = server;
    using other = await Wire.connect(port);
    await other.send(query("select 'parameters that changed are told once'"));
    while ((await other.answers(1))[0] !== "Z I");

    await t.step("what one client asks is not mixed with what others ask meanwhile", async () => {
      using one = await Wire.connect(port);
      using two = await Wire.connect(port);
      for (let round = 0; round < 20; round++) {
        await one.send(parse("select 'one'"), bind(), FLUSH);
        assert.deepEqual(await one.answers(2), ["1", "2"]);
        await two.send(parse("select 'two'"), bind(), EXECUTE, SYNC);
        await one.send(EXECUTE, SYNC);
        assert.deepEqual(await one.answers(3), ["D one", "C SELECT 1", "Z I"]);
        assert.deepEqual(await two.answers(5), ["1", "2", "D two", "C SELECT 1", "Z I"]);
      }
    });

    await t.step("what is told to be committed does not go with the error of another", async () => {
      using wrong = await Wire.connect(port);
      using right = await Wire.connect(port);
      await wrong.send(parse("select 1 / (now() is null)::int"), bind(), FLUSH);
      assert.deepEqual(await wrong.answers(2), ["1", "2"]);
      await right.send(query("create table kept ()"));
      await wrong.send(EXECUTE, SYNC);
      assert.deepEqual(await wrong.answers(2), ["E division by zero", "Z I"]);
      assert.deepEqual(await right.answers(2), ["C CREATE TABLE", "Z I"]);
      assert.equal(await other.ask("select to_regclass('kept')"), "D kept");
    });

    await t.step("a transaction is one client's alone until its end", async () => {
      using one = await Wire.connect(port);
      await one.send(query("begin"));
      assert.deepEqual(await one.answers(2), ["C BEGIN", "Z T"]);
      await other.send(query("select count(*) from counted"));
      await one.send(query("create table counted as select 1"));
      assert.deepEqual(await one.answers(2), ["C SELECT 1", "Z T"]);
      await one.send(query("commit"));
      assert.deepEqual(await one.answers(2), ["C COMMIT", "Z I"]);
      assert.deepEqual(await other.answers(4), ["T", "D 1", "C SELECT 1", "Z I"]);
    });

    await t.step("a query within a cycle that failed is not its end", async () => {
      using one = await Wire.connect(port);
      await one.send(parse("select bad from nowhere"), FLUSH);
      assert.deepEqual(await one.answers(1), ['E relation "nowhere" does not exist']);
      await one.send(query("select 'skipped'"));
      await other.send(query("select 'answered'"));
      await one.send(SYNC, query("select 'next'"));
      assert.deepEqual(await one.answers(5), ["Z I", "T", "D next", "C SELECT 1", "Z I"]);
      assert.deepEqual(await other.answers(4), ["T", "D answered", "C SELECT 1", "Z I"]);
    });

    await t.step("a message is taken as it comes: in pieces, or longer than any buffer", async () => {
      using wire = await Wire.connect(port);
      for (const byte of query("select 'slow'")) await wire.send(Uint8Array.of(byte));
      assert.deepEqual(await wire.answers(4), ["T", "D slow", "C SELECT 1", "Z I"]);
      await wire.send(query(`select length('${"x".repeat(300_000)}')`), query("select 'next'"));
      assert.deepEqual(await wire.answers(4), ["T", "D 300000", "C SELECT 1", "Z I"]);
      assert.deepEqual(await wire.answers(4), ["T", "D next", "C SELECT 1", "Z I"]);
    });

    await t.step("who is cut off in a cycle or a transaction has changed nothing", async () => {
      const update = "create table cut ()";
      for (const sql of [update, "select bad from nowhere", "begin"]) {
        for (const before of [[], [query("begin")]]) {
          using cut = await Wire.connect(port);
          await cut.send(...before, parse(sql), bind(), EXECUTE, before.length > 0 ? SYNC : FLUSH);
          await cut.answers(1);
          cut[Symbol.dispose]();
          assert.equal(await other.ask("select concat('cut: ', to_regclass('cut'))"), "D cut: ", sql);
        }
      }
    });

    await t.step("what a client has prepared goes with it, and nobody else's", async () => {
      const before = await other.ask(PREPARED);
      using one = await Wire.connect(port);
      using two = await Wire.connect(port);
      await one.send(parse("select 'mine'", "same"), SYNC);
      assert.deepEqual(await one.answers(2), ["1", "Z I"]);
      await two.send(parse("select 1", "same"), SYNC, parse("select 2", "another"), SYNC);
      const refused = 'E prepared statement "same" already exists';
      assert.deepEqual(await two.answers(4), [refused, "Z I", "1", "Z I"]);
      two[Symbol.dispose]();
      await eventually(async () => await other.ask(`${PREPARED} where name = 'another'`) === "D 0", {
        what: "its end",
      });
      await one.send(bind("same"), EXECUTE, SYNC);
      assert.deepEqual(await one.answers(4), ["2", "D mine", "C SELECT 1", "Z I"]);
      one[Symbol.dispose]();
      await eventually(async () => await other.ask(PREPARED) === before, { what: "its end" });
    });

    await t.step("who keeps it and says nothing, or does not read, is cut off after 10 s", async () => {
      for (const begun of [[parse("select 1"), FLUSH], [query("begin")]]) {
        using silent = await Wire.connect(port);
        await silent.send(...begun);
        await silent.answers(1);
        await eventually(() => clock.waiting === 1, { what: "its clock" });
        const answer = other.ask("select 'free'");
        await clock.advance(9_999);
        assert.equal(clock.waiting, 1);
        await clock.advance(1);
        assert.equal(await answer, "D free");
        assert.match(await silent.end(), /^(Z.*)?$/s);
      }
      using deaf = await Wire.connect(port);
      await deaf.send(query("begin"), query("select repeat('x', 30000000)"));
      await deaf.answers(2);
      await eventually(() => clock.waiting === 1, { what: "its clock" });
      const answer = other.ask("select 'free'");
      await clock.advance(10_000);
      assert.equal(await answer, "D free");
    });

    await t.step("who is silent between queries is left alone", async () => {
      using idle = await Wire.connect(port);
      await clock.advance(3_600_000);
      assert.equal(await idle.ask("select 'here'"), "D here");
    });

    await t.step("encryption is declined, and a request to cancel is none", async () => {
      using wire = await Wire.open(port);
      const first = (code: number) => Uint8Array.of(0, 0, 0, 8, 4, 210, 22, code);
      await wire.send(first(47));
      await wire.send(first(48));
      await wire.send(startup("user", "anybody", "replication", "true"));
      assert.match(await wire.text(2), /^NN$/);
      while ((await wire.answers(1))[0] !== "Z I");
      assert.equal(await wire.ask("select 'well'"), "D well");
      using cancel = await Wire.open(port);
      await cancel.send(Uint8Array.of(0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 0, 0, 0, 0, 0));
      assert.equal(await cancel.end(), "");
    });

    await t.step("who does not speak the protocol is cut off, and nobody else", async () => {
      const strangers = [
        "GET / HTTP/1.1\r\n\r\n",
        "\0\0\0\0\0\0\0\0",
        "\0\0\0\x05\0\0\0\0",
        "\0\0\0\x0aSMBxyz",
      ];
      for (const nonsense of strangers) {
        using stranger = await Wire.open(port);
        await stranger.send(new TextEncoder().encode(nonsense));
        assert.equal(await stranger.end(), "", nonsense);
      }
      const bad = [
        message("~"),
        message("d", [1]),
        message("\0"),
        message("D", new Array(10_000).fill(0)),
        Uint8Array.of(81, 0, 0, 0, 3),
      ];
      for (const nonsense of bad) {
        using stranger = await Wire.connect(port);
        await stranger.send(nonsense);
        assert.equal(await stranger.end(), "");
      }
      assert.equal(await other.ask("select 'well'"), "D well");
    });

    await t.step("more clients than it takes are told so", async () => {
      using stack = new DisposableStack();
      while (server.clients < 200) stack.use(await Wire.connect(port));
      using more = await Wire.open(port);
      await more.send(startup("user", "postgres"));
      assert.deepEqual(await more.answers(1), ["E the embedded database has 200 clients already"]);
      stack.dispose();
      await eventually(() => server.clients < 200, { what: "their end" });
      using next = await Wire.connect(port);
      assert.equal(await next.ask("select 'next'"), "D next");
    });

    await t.step("a session that fails as no query makes it fail is asked nothing more", async () => {
      assert.ok(!broken);
      using culprit = await Wire.connect(port);
      await culprit.send(query("copy kept from stdin"));
      assert.equal(await culprit.end(), "");
      assert.ok(broken);
      await other.send(query("select 1"));
      assert.equal(await other.end(), "");
    });

    await t.step("its end is the end of all its connections", async () => {
      using last = await Wire.open(port);
      await eventually(() => server.clients > 0, { what: "a client" });
      await server[Symbol.asyncDispose]();
      assert.equal(await last.end(), "");
      assert.equal(server.clients, 0);
      await assert.rejects(Wire.open(port), Deno.errors.ConnectionRefused);
    });
  },
});
