import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import {
  LONGEST_DELAY_SECONDS,
  reconnectDelay,
  retryDelaySeconds,
  type RetryPolicy,
} from "../src/retry_policy.ts";

const DEFAULTS: RetryPolicy = { delay: 60, factor: 2 };

/** Whatever TQ_RETRY_DELAY and TQ_RETRY_BACKOFF_FACTOR may say. */
const anyPolicy = fc.record({
  delay: fc.oneof(fc.constantFrom(0, 86_400), fc.double({ min: 0.001, max: 86_400, noNaN: true })),
  factor: fc.oneof(fc.constantFrom(1, 100), fc.double({ min: 1, max: 100, noNaN: true })),
});
/** TQ_RETRY_ATTEMPTS goes to 1000. */
const anyAttempts = fc.integer({ min: 1, max: 1000 });
const anyRandom = fc.double({ min: 0, max: 1, noNaN: true });

Deno.test("the delays are 1, 60, 120 and 240 s by default, before jitter", () => {
  const delays = [1, 2, 3, 4].map((attempts) => retryDelaySeconds(attempts, DEFAULTS, 0.5));
  assert.deepEqual(delays, [1, 60, 120, 240]);
});

Deno.test("the first retry comes after about a second, whatever the policy", () => {
  fc.assert(fc.property(anyPolicy, anyRandom, (policy, random) => {
    const delay = retryDelaySeconds(1, policy, random);
    assert.ok(delay >= 0.9 && delay <= 1.1, `${delay} s`);
  }));
});

Deno.test("the second comes after the delay, and each further one after factor times the one before", () => {
  fc.assert(fc.property(anyPolicy, fc.integer({ min: 2, max: 20 }), (policy, attempts) => {
    assert.equal(retryDelaySeconds(2, policy, 0.5), policy.delay);
    const [one, next] = [attempts, attempts + 1].map((n) => retryDelaySeconds(n, policy, 0.5));
    const expected = Math.min(one! * policy.factor, LONGEST_DELAY_SECONDS);
    assert.ok(Math.abs(next! - expected) <= expected * 1e-9, `${next} s, not ${expected} s`);
  }));
});

Deno.test("a delay is a number from 0 to 30 days, and within 10 % of its base", () => {
  fc.assert(
    fc.property(anyPolicy, anyAttempts, anyRandom, (policy, attempts, random) => {
      const delay = retryDelaySeconds(attempts, policy, random);
      assert.ok(delay >= 0 && delay <= LONGEST_DELAY_SECONDS, `${delay} s`);
      // The limit may cut the base, but jitter does not cross it upward.
      const base = retryDelaySeconds(attempts, policy, 0.5);
      assert.ok(delay >= base * 0.9 - 1e-9 && delay <= base * 1.1 + 1e-9, `${delay} s, base ${base} s`);
    }),
    { numRuns: 1000, examples: [[{ delay: 0, factor: 100 }, 1000, 0.5]] },
  );
});

Deno.test("the base never shrinks from the second retry on", () => {
  fc.assert(
    fc.property(anyPolicy, fc.integer({ min: 2, max: 999 }), (policy, attempts) => {
      assert.ok(retryDelaySeconds(attempts + 1, policy, 0.5) >= retryDelaySeconds(attempts, policy, 0.5));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("jitter spreads retries over all of its range", () => {
  const delays = Array.from({ length: 1000 }, () => retryDelaySeconds(2, DEFAULTS));
  assert.ok(Math.min(...delays) < 56 && Math.max(...delays) > 64);
  assert.ok(new Set(delays).size > 900);
  assert.equal(retryDelaySeconds(2, DEFAULTS, 0), 54);
  assert.equal(retryDelaySeconds(2, DEFAULTS, 1), 66);
});

Deno.test("reconnectDelay() starts at 50 ms, doubles up to its limit, and waits for half of it at least", () => {
  assert.deepEqual([0, 1, 2, 3].map((tries) => reconnectDelay(tries, 1000, 1)), [50, 100, 200, 400]);
  fc.assert(
    fc.property(
      fc.nat(1_000_000),
      fc.integer({ min: 1, max: 60_000 }),
      anyRandom,
      (tries, longest, random) => {
        const delay = reconnectDelay(tries, longest, random);
        const base = reconnectDelay(tries, longest, 1);
        assert.ok(base <= longest && base >= Math.min(50, longest));
        assert.ok(delay >= base / 2 && delay <= base);
        assert.ok(reconnectDelay(tries + 1, longest, 1) >= base);
      },
    ),
  );
  assert.equal(reconnectDelay(1_000_000, 2000, 1), 2000);
});
