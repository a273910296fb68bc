import { expect, test } from "vitest";

import type { RunPoint } from "../src/api/training";
import { columnsOf, csvOf, lastOf, lineOf } from "../src/training/curves";

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
