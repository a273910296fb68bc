import type { Outcome, RunPoint } from "../api/training";

/** What can be drawn of a run, over tokens. */
export const MEASURES = ["bits_per_byte", "loss", "lr", "grad_norm", "tokens_per_second"] as const;
export type Measure = (typeof MEASURES)[number];

/** One line of a chart. */
export interface Line {
  /** Of which run. */
  name: string;
  /** `[tokens, value]`, tokens growing. */
  points: readonly (readonly [number, number])[];
}

/** Where a line is expected to end: after so many tokens, between two values. */
export interface Expectation {
  tokens: number;
  low: number;
  high: number;
}

/** A line as it is drawn. */
export interface DrawnLine extends Line {
  /** Its place among the page's series of colours. */
  colour: number;
  expected: Expectation | null;
}

/** The interval in which the last bits per byte were expected; null where nobody said. */
export function expectationOf(expected: Outcome | null): Expectation | null {
  if (!expected) return null;
  const { tokens, bits_per_byte_low: low, bits_per_byte_high: high } = expected;
  if (tokens === null || low === null || high === null) return null;
  return { tokens, low, high };
}

/** The points at which a run measured this; others are left out, not drawn as nothing. */
export function lineOf(name: string, points: readonly RunPoint[], measure: Measure): Line {
  return {
    name,
    points: points.flatMap((point) => {
      const value = point[measure];
      return value === null || !Number.isFinite(value) ? [] : [[point.tokens, value] as const];
    }),
  };
}

/**
 * Lines over one axis, as columns: the tokens of all, then a column of values for each line, null
 * where it has none there.
 */
export function columnsOf(lines: readonly Line[]): [number[], ...(number | null)[][]] {
  const places = [...new Set(lines.flatMap((line) => line.points.map(([x]) => x)))].sort(
    (a, b) => a - b,
  );
  const values = lines.map((line) => {
    const known = new Map(line.points);
    return places.map((x) => known.get(x) ?? null);
  });
  return [places, ...values];
}

/** The lines as a table that a spreadsheet reads (RFC 4180). */
export function csvOf(lines: readonly Line[], x: string): string {
  const quoted = (cell: string) =>
    /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  const [places, ...values] = columnsOf(lines);
  const head = [x, ...lines.map((line) => line.name)].map(quoted).join(",");
  const rows = places.map((at, row) =>
    [at, ...values.map((column) => column[row] ?? "")].join(","),
  );
  return `${[head, ...rows].join("\r\n")}\r\n`;
}

/** The last value of a line; null where it has none. */
export function lastOf(line: Line): number | null {
  return line.points.at(-1)?.[1] ?? null;
}
