/**
 * Handlers that block their engine: one that computes for longer than the lease runs once; one that never ends is
 * ended, fails as `timed out`, and its neighbours complete.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { Site } from "../../support/host.ts";
import { pass, type Scenario, Sheet } from "../scenario.ts";

const SIZES = {
  quick: { lease: 3, spin: 9, timeout: 1, neighbours: 2 },
  full: { lease: 30, spin: 90, timeout: 5, neighbours: 8 },
};
const NEIGHBOURS = 9;

export const blockedEngine: Scenario = {
  name: "blocked-engine",
  what:
    "a CPU-bound handler beyond the lease runs once; an endless one is timed out, its neighbours complete",
  patient: true,
  async run(size) {
    const { lease, spin, timeout, neighbours } = SIZES[size];
    const sheet = new Sheet();
    await using site = await Site.start({ environment: { TQ_LEASE: String(lease) } });
    // Two hosts: who else would take the task too early? One runs the computation, the other the endless one.
    await site.host("a", { TQ_SUBSCRIBE: "computing" });
    await site.host("b", { TQ_SUBSCRIBE: "tq_model_handler" });
    const computing = await site.queue.publish("rel.Work", "spin", { ms: spin * 1000 }, {
      channel: "computing",
    });
    const around = await site.queue.publishMany(
      Array.from({ length: NEIGHBOURS }, () => ({
        model: "rel.Work",
        fname: "work",
        data: { ms: neighbours * 1000 },
      })),
    );
    const started = async (ids: number[]) => {
      const runs = await site.runs();
      return ids.every((id) => runs.has(id));
    };
    await eventually(() => started(around), { what: "running neighbours" });
    const endless = await site.queue.publish("rel.Work", "forever", {}, { timeout });
    await eventually(() => started([endless]), { what: "the endless one" });
    const begun = Date.now();
    const task = await site.queue.wait(endless, { timeout: 60 });
    sheet.equal("the endless one", [task.state, task.reason], [-1, "timed out"]);
    sheet.atMost("seconds until then", (Date.now() - begun) / 1000, 20, "s");
    const ends = await Promise.all(around.map((id) => site.queue.wait(id, { timeout: 60 })));
    sheet.equal("neighbours that completed", ends.filter((one) => one.state === 10).length, NEIGHBOURS);
    sheet.equal(
      "neighbours that were charged",
      ends.filter((one) => one.attempts !== 1 || one.deaths > 0).length,
      0,
    );
    const computed = await site.queue.wait(computing, { timeout: spin + 60 });
    await pass(1);
    sheet.equal("the computation", [computed.state, computed.claims, computed.attempts], [10, 1, 1]);
    const runs = await site.runs();
    sheet.equal("runs of the computation", runs.get(computing)!.length, 1);
    sheet.equal("runs of the endless one", runs.get(endless)!.length, 1);
    return sheet;
  },
};
