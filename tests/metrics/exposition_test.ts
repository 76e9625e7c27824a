import assert from "node:assert/strict";
import { writeFamilies } from "../../src/metrics/exposition.ts";
import { Histogram } from "../../src/metrics/histogram.ts";

Deno.test("writeFamilies: counters and gauges, with labels that hold anything", () => {
  const text = writeFamilies([
    {
      type: "counter",
      name: "a_total",
      help: "One\nof \\ them",
      samples: [[{ channel: 'a"b\\c\nd', outcome: "x" }, 1.5], [{}, 0]],
    },
    { type: "gauge", name: "b", help: "Infinite.", samples: [[{}, Infinity]] },
    { type: "gauge", name: "none", help: "Has no samples.", samples: [] },
  ]);
  assert.equal(
    text,
    "# HELP a_total One\\nof \\\\ them\n# TYPE a_total counter\n" +
      'a_total{channel="a\\"b\\\\c\\nd",outcome="x"} 1.5\na_total 0\n' +
      "# HELP b Infinite.\n# TYPE b gauge\nb +Inf\n",
  );
});

Deno.test("writeFamilies: the buckets of a histogram hold those below them too", () => {
  const histogram = new Histogram([0.5, 1]);
  for (const value of [0.1, 0.4, 0.75, 8]) histogram.observe(value);
  assert.equal(
    writeFamilies([{ type: "histogram", name: "h", help: "H.", samples: [[{ c: "x" }, histogram]] }]),
    [
      "# HELP h H.",
      "# TYPE h histogram",
      'h_bucket{c="x",le="0.5"} 2',
      'h_bucket{c="x",le="1"} 3',
      'h_bucket{c="x",le="+Inf"} 4',
      'h_sum{c="x"} 9.25',
      'h_count{c="x"} 4',
      "",
    ].join("\n"),
  );
});
