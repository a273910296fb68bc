import type { Job } from "../api/jobs";
import type { Piece } from "../api/tokenizers";

/** A text in three tongues to begin with: it is data, and the same whatever the page speaks. */
export const EXAMPLE =
  "吾輩は猫である。名前はまだ無い。 The tale goes on: def tell(story): return story[1:]";

/** Tokens for a character and for a word of a language or a script. */
export interface Fertility {
  of: string;
  characters: number;
  per_character: number;
  per_word: number | null;
}

/** One tokenizer on the text that none was trained on. */
export interface Measured {
  name: string;
  pieces: number;
  bytes_per_token: number;
  languages: readonly Fertility[];
  scripts: readonly Fertility[];
  round_trip: number;
  used: number;
  train_seconds: number | null;
  encode_mb_per_second: number;
  shown: readonly Piece[];
}

export interface Comparison {
  rows: readonly Measured[];
  trained_on: number;
  of: number;
  held_out: number;
}

/** What a job found; null while it has found nothing. */
export function comparisonOf(job: Job): Comparison | null {
  const { kind, result } = job;
  const good =
    kind === "tokenizers" &&
    result !== null &&
    haveNumbers(result, ["trained_on", "of", "held_out"]) &&
    areAll(result["rows"], isMeasured);
  return good ? (result as unknown as Comparison) : null;
}

// A job may have been imported: its result is as somebody's file had it.
type Told = Record<string, unknown>;

const areAll = (value: unknown, check: (one: Told) => boolean): boolean =>
  Array.isArray(value) &&
  value.every((one: unknown) => typeof one === "object" && one !== null && check(one as Told));

const haveNumbers = (one: Told, names: readonly string[]): boolean =>
  names.every((name) => typeof one[name] === "number");

const NUMBERS = ["pieces", "bytes_per_token", "round_trip", "used", "encode_mb_per_second"];

function isMeasured(row: Told): boolean {
  return (
    typeof row["name"] === "string" &&
    haveNumbers(row, NUMBERS) &&
    areAll(row["languages"], isFertility) &&
    areAll(row["scripts"], isFertility) &&
    areAll(row["shown"], isPiece)
  );
}

function isPiece({ id, piece, text }: Told): boolean {
  return typeof id === "number" && typeof piece === "string" && typeof text === "string";
}

function isFertility(one: Told): boolean {
  const perWord = one["per_word"];
  return (
    typeof one["of"] === "string" &&
    haveNumbers(one, ["characters", "per_character"]) &&
    (perWord === null || typeof perWord === "number")
  );
}

/** The newest comparisons first. */
export function comparisons(jobs: readonly Job[]): Job[] {
  return jobs
    .filter((job) => job.kind === "tokenizers")
    .sort((a, b) => b.created_at - a.created_at);
}

/** Every language (or script) of a comparison, those of most text first. */
export function groupsOf(
  rows: readonly Measured[],
  of: (row: Measured) => readonly Fertility[],
): string[] {
  const first = rows[0];
  if (!first) return [];
  return [...of(first)].sort((a, b) => b.characters - a.characters).map((one) => one.of);
}

/** Sizes as typed, `4096, 16384`; null where one is no size that can be. */
export function readSizes(typed: string): number[] | null {
  const words = typed
    .normalize("NFKC")
    .split(/[\s,、]+/)
    .filter((word) => word !== "");
  const sizes = words.map(Number);
  const good = sizes.every((size) => Number.isInteger(size) && size >= 300 && size <= 1_000_000);
  return good && sizes.length >= 1 && sizes.length <= 6 ? [...new Set(sizes)] : null;
}
