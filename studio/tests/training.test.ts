import { expect, test } from "vitest";

import type { Job } from "../src/api/jobs";
import type { RunPoint } from "../src/api/training";
import { kindOf } from "../src/jobs/job";
import { coloursOf } from "../src/training/colours";
import { columnsOf, csvOf, expectationOf, lastOf, lineOf } from "../src/training/curves";
import { OBJECTIVES, readField, RECIPES } from "../src/training/recipes";

function point(tokens: number, given: Partial<RunPoint>): RunPoint {
  return {
    step: tokens / 10,
    tokens,
    time: 0,
    loss: null,
    lr: null,
    grad_norm: null,
    tokens_per_second: null,
    valid_loss: null,
    bits_per_byte: null,
    ...given,
  };
}

test("a line has the points at which something was measured, and no others", () => {
  const points = [point(10, { loss: 4 }), point(20, { loss: NaN }), point(30, { loss: 3 })];
  expect(lineOf("a", points, "loss").points).toEqual([
    [10, 4],
    [30, 3],
  ]);
  expect(lineOf("a", points, "bits_per_byte").points).toEqual([]);
  expect(lastOf(lineOf("a", points, "loss"))).toBe(3);
  expect(lastOf(lineOf("a", points, "lr"))).toBeNull();
});

test("lines of different runs share one axis, in order, with nothing where one has nothing", () => {
  const lines = [
    {
      name: "a",
      points: [
        [10, 4],
        [30, 3],
      ] as const,
    },
    {
      name: "b",
      points: [
        [20, 5],
        [30, 2],
      ] as const,
    },
  ];
  expect(columnsOf(lines)).toEqual([
    [10, 20, 30],
    [4, null, 3],
    [null, 5, 2],
  ]);
});

test("a file of the values is read by spreadsheets, whatever the runs are called", () => {
  const lines = [{ name: 'a, "b"', points: [[10, 4.5]] as const }];
  expect(csvOf(lines, "tokens")).toBe('tokens,"a, ""b"""\r\n10,4.5\r\n');
});

test("a run keeps its colour whatever it is shown beside, and in whatever order", () => {
  const runs = ["2026-11-22-a-1f", "2026-11-22-b-2e", "2026-11-22-c-3d"].map((id) => ({ id }));
  const all = coloursOf(runs);
  expect(coloursOf([...runs].reverse())).toEqual(all);
  expect(new Set(all.values()).size).toBe(3);
  const many = Array.from({ length: 6 }, (_, at) => ({ id: `run-${at}` }));
  expect(new Set(coloursOf(many).values()).size).toBe(6);
  const [first] = runs;
  if (first) expect(coloursOf([first]).size).toBe(1);
});

test("where a run is to end is drawn only where an interval was said", () => {
  const said = { parameters: 1, tokens: 100, seconds: 1, memory_bytes: 1 };
  const bits = { bits_per_byte: 2, bits_per_byte_low: 1.9, bits_per_byte_high: 2.1 };
  expect(expectationOf({ ...said, ...bits })).toEqual({ tokens: 100, low: 1.9, high: 2.1 });
  expect(expectationOf({ ...said, ...bits, bits_per_byte_low: null })).toBeNull();
  expect(expectationOf(null)).toBeNull();
});

test("every kind of run says what it needs, and reads numbers as they are typed", () => {
  expect(OBJECTIVES).toHaveLength(8);
  for (const one of OBJECTIVES)
    for (const field of RECIPES[one].needs) expect(RECIPES[one].fields).toHaveProperty(field);
  expect(readField("size", "１０M")).toBe("10M");
  expect(readField("size", "ten")).toBeUndefined();
  expect(readField("tokens", "")).toBeNull();
  expect(readField("tokens", "1.5")).toBeUndefined();
  expect(readField("minutes", "0.5")).toBe(0.5);
});

test("a training that is only planned is not called one", () => {
  const job = { kind: "training", params: { goal: "plan" } } as unknown as Job;
  expect(kindOf(job)).toBe("plan");
  expect(kindOf({ ...job, params: { goal: "train" } })).toBe("training");
  expect(kindOf({ ...job, kind: "download" })).toBe("download");
});
