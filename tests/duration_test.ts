import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { parseDuration, parseMoment } from "../src/duration.ts";

Deno.test("parseDuration() reads what people write", () => {
  const cases: [unknown, number][] = [
    [90, 90],
    [0, 0],
    [0.5, 0.5],
    ["90", 90],
    [" 90 s ", 90],
    ["1.5h", 5400],
    ["5m", 300],
    ["2h", 7200],
    ["7d", 604_800],
    ["250ms", 0.25],
  ];
  for (const [text, seconds] of cases) assert.equal(parseDuration(text), seconds, String(text));
});

Deno.test("parseDuration() answers in the unit of a bare number", () => {
  assert.equal(parseDuration("7", "d"), 7);
  assert.equal(parseDuration("7d", "d"), 7);
  assert.equal(parseDuration("12h", "d"), 0.5);
  assert.equal(parseDuration("86400s", "d"), 1);
});

Deno.test("parseDuration() refuses everything else", () => {
  const bad = ["", " ", "s", "-1", "+1", "1e3", "1.", ".5", "1,5", "5 minutes", "5M", "1h30m", "0x10", "NaN"];
  for (const text of [...bad, NaN, Infinity, -1, undefined, null, true, {}, []]) {
    assert.equal(parseDuration(text), undefined, JSON.stringify(text));
  }
});

Deno.test("parseDuration() and its unit agree for every number", () => {
  const units = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 } as const;
  const unit = fc.constantFrom(...Object.keys(units) as (keyof typeof units)[]);
  fc.assert(fc.property(fc.nat(1_000_000), unit, (count, name) => {
    assert.ok(Math.abs(parseDuration(`${count}${name}`)! - count * units[name]) < 1e-6);
  }));
});

Deno.test("parseMoment() reads dates and times with a zone", () => {
  const cases: [string, string][] = [
    ["2026-12-24T18:00:00Z", "2026-12-24T18:00:00.000Z"],
    ["2026-12-24T18:00Z", "2026-12-24T18:00:00.000Z"],
    ["2026-12-24 18:00:30.250+01:00", "2026-12-24T17:00:30.250Z"],
    ["2026-12-24T18:00+0530", "2026-12-24T12:30:00.000Z"],
    [" 2024-02-29T00:00:00Z ", "2024-02-29T00:00:00.000Z"],
  ];
  for (const [text, iso] of cases) assert.equal(parseMoment(text)?.toISOString(), iso, text);
});

Deno.test("parseMoment() means local time when no zone is named, for a date alone too", () => {
  const zone = Deno.env.get("TZ");
  try {
    for (const [name, hours] of [["Asia/Tokyo", 9], ["America/New_York", -5], ["UTC", 0]] as const) {
      Deno.env.set("TZ", name);
      const utc = (day: number, hour: number) => new Date(Date.UTC(2026, 0, day, hour - hours)).toISOString();
      assert.equal(parseMoment("2026-01-10T18:00")?.toISOString(), utc(10, 18), name);
      assert.equal(parseMoment("2026-01-10 18:00")?.toISOString(), utc(10, 18), name);
      assert.equal(parseMoment("2026-01-10")?.toISOString(), utc(10, 0), name);
      assert.equal(parseMoment("2026-01-10T18:00Z")?.toISOString(), "2026-01-10T18:00:00.000Z", name);
    }
  } finally {
    if (zone === undefined) Deno.env.delete("TZ");
    else Deno.env.set("TZ", zone);
  }
});

Deno.test("parseMoment() refuses what is no moment", () => {
  const bad = [
    "",
    "tomorrow",
    "now",
    "1700000000",
    "24.12.2026",
    "12/24/2026",
    "2026-12",
    "2026-13-01",
    "2026-00-10",
    "2026-01-00",
    "2026-02-30",
    "2025-02-29",
    "2026-04-31T10:00",
    "2026-01-01T24:00",
    "2026-01-01T10:60",
    "2026-01-01T10:00:60",
    "2026-01-01T10",
    "2026-01-01T10:00X",
    "2026-01-01T10:00+99:99",
    "2026-01-01Z",
    "+002026-01-01T10:00",
  ];
  for (const text of bad) assert.equal(parseMoment(text), undefined, text);
});

Deno.test("parseMoment() reads back every moment that Date writes", () => {
  const date = fc.date({
    min: new Date("1970-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59Z"),
    noInvalidDate: true,
  });
  fc.assert(fc.property(date, (moment) => {
    assert.equal(parseMoment(moment.toISOString())?.getTime(), moment.getTime());
  }));
});
