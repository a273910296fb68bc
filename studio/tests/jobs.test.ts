import { describe, expect, it } from "vitest";

import { readJobLog, type Job, type JobLog, type LogLine } from "../src/api/jobs";
import { en } from "../src/i18n/en";
import { ja } from "../src/i18n/ja";
import {
  downloadOf,
  endedBetween,
  inOrder,
  modelOf,
  secondsLeft,
  shareOf,
  shareOfAll,
  withJob,
} from "../src/jobs/job";
import { duration, progressOf, wordFor } from "../src/jobs/words";
import { comparisonOf } from "../src/tokenizers/comparison";

function job(id: string, part: Partial<Job> = {}): Job {
  return {
    id,
    kind: "download",
    title: id,
    state: "running",
    stage: "downloading",
    done: 25,
    total: 100,
    unit: "bytes",
    rate: null,
    params: { model: "Qwen", name: "qwen" },
    result: null,
    failure: null,
    attempts: 1,
    created_at: 1,
    started_at: null,
    ended_at: null,
    ...part,
  };
}

describe("jobs", () => {
  it("know how much is done, and do not where the whole is unknown or nothing", () => {
    expect(shareOf(job("a"))).toBe(0.25);
    expect(shareOf(job("a", { total: null }))).toBeNull();
    expect(shareOf(job("a", { total: 0 }))).toBeNull();
    expect(shareOf(job("a", { done: 120 }))).toBe(1);
    expect(shareOfAll([job("a"), job("b", { done: 75 }), job("c", { total: null })])).toBe(0.5);
    expect(shareOfAll([])).toBeNull();
  });

  it("foretell only what runs at a known rate", () => {
    expect(secondsLeft(job("a", { rate: 5 }))).toBe(15);
    expect(secondsLeft(job("a", { rate: 0 }))).toBeNull();
    expect(secondsLeft(job("a", { rate: 5, state: "paused" }))).toBeNull();
  });

  it("stand with what is open first, then the newest", () => {
    const jobs = [
      job("old", { state: "done", created_at: 3 }),
      job("paused", { state: "paused", created_at: 1 }),
      job("new", { created_at: 2 }),
    ];
    expect(inOrder(jobs).map((one) => one.id)).toEqual(["new", "paused", "old"]);
  });

  it("take their newest form in the list, once", () => {
    const jobs = withJob([job("a"), job("b")], job("b", { done: 50 }));
    expect(jobs.map((one) => [one.id, one.done])).toEqual([
      ["a", 25],
      ["b", 50],
    ]);
    expect(withJob(jobs, job("c")).map((one) => one.id)).toEqual(["c", "a", "b"]);
  });

  it("are told once when they end, and not when they were ended already", () => {
    const before = [job("a"), job("b", { state: "done" })];
    const after = [job("a", { state: "failed" }), job("b", { state: "done" }), job("c")];
    expect(endedBetween(before, after).map((one) => one.id)).toEqual(["a"]);
    expect(endedBetween(after, after)).toEqual([]);
  });

  it("are found by their model, whatever its case; the one that was named first", () => {
    const jobs = [job("old", { created_at: 1 }), job("new", { created_at: 5 })];
    expect(modelOf(job("a", { result: { name: "here" } }))).toBe("here");
    expect(modelOf(job("a", { kind: "training" }))).toBeNull();
    expect(downloadOf(jobs, "QWEN", null)?.id).toBe("new");
    expect(downloadOf(jobs, "qwen", "old")?.id).toBe("old");
    expect(downloadOf(jobs, "gemma", null)).toBeNull();
  });
});

describe("words about jobs", () => {
  it("say stage, amount, rate and what is left", () => {
    const running = job("a", { done: 40e6, total: 100e6, rate: 2e6 });
    expect(progressOf(en, "en", running)).toBe(
      "Downloading · 40.0 MB of 100.0 MB · 2.0 MB/s · about 30 seconds left",
    );
    expect(progressOf(ja, "ja", running)).toContain("100.0 MB のうち 40.0 MB");
  });

  it("show what the page has no word for as the server says it", () => {
    const other = job("a", { stage: "distilling", unit: "vats", total: null, done: 7 });
    expect(progressOf(en, "en", other)).toBe("distilling · 7 vats");
    expect(wordFor({ a: "A" }, "constructor")).toBe("constructor");
  });

  it("round times as people do", () => {
    expect(duration("en", 0.2)).toBe("1 second");
    expect(duration("en", 200)).toBe("3 minutes");
    expect(duration("ja", 7200)).toBe("2 時間");
  });
});

describe("a job's log", () => {
  /** A server whose log has the lines 1 to `count`, of which it gives 1,000 at a time. */
  function server(count: number) {
    const asked: string[] = [];
    const answer: typeof fetch = (path) => {
      asked.push(String(path));
      const after = Number(new URL(String(path), "http://here").searchParams.get("after"));
      const length = Math.min(1000, Math.max(0, count - after));
      const data = Array.from({ length }, (_, at) => line(after + at + 1));
      return Promise.resolve(new Response(JSON.stringify({ data })));
    };
    const read = (known: JobLog) =>
      readJobLog({ key: null, fetch: answer }, "a", known, new AbortController().signal);
    return { asked, read };
  }
  const line = (key: number): LogLine => ({ key, at: key, level: "info", line: `line ${key}` });
  const nothing: JobLog = { lines: [], before: 0 };

  it("is read on to its end, however many answers that takes", async () => {
    const { asked, read } = server(2500);
    const { lines, before } = await read(nothing);
    expect([lines.length, lines[0]?.key, lines.at(-1)?.key, before]).toEqual([2500, 1, 2500, 0]);
    expect(asked).toHaveLength(3);
  });

  it("is asked only for what is new", async () => {
    const { asked, read } = server(3);
    const { lines } = await read({ lines: [line(1), line(2)], before: 5 });
    expect(lines.map(({ key }) => key)).toEqual([1, 2, 3]);
    expect(asked).toEqual(["/studio/api/jobs/a/log?after=2"]);
  });

  it("loses its oldest lines where it is very long, and counts them", async () => {
    const { lines, before } = await server(20_700).read(nothing);
    expect([lines.length, lines[0]?.key, lines.at(-1)?.key, before]).toEqual([
      20_000, 701, 20_700, 700,
    ]);
  });
});

describe("a comparison of tokenizers", () => {
  const fertility = { of: "ja", characters: 9, per_character: 0.8, per_word: null };
  const row = {
    name: "bpe-8192",
    pieces: 8192,
    bytes_per_token: 3.1,
    languages: [fertility],
    scripts: [{ ...fertility, per_word: 1.5 }],
    round_trip: 1,
    used: 0.9,
    train_seconds: null,
    encode_mb_per_second: 4,
    shown: [{ id: 5, piece: "Ġa", text: " a", special: false }],
  };
  const found = { rows: [row], trained_on: 90, of: 100, held_out: 10 };
  const of = (result: Job["result"], kind = "tokenizers") =>
    comparisonOf(job("a", { kind, state: "done", result }));

  it("is what the job found", () => {
    expect(of(found)).toEqual(found);
    expect(of(null)).toBeNull();
    expect(of(found, "download")).toBeNull();
  });

  it.each([
    ["no rows", { ...found, rows: null }],
    ["no sizes", { rows: [row] }],
    ["a row of nothing", { ...found, rows: [null] }],
    ["a row without a name", { ...found, rows: [{ ...row, name: 5 }] }],
    ["a number as text", { ...found, rows: [{ ...row, pieces: "many" }] }],
    ["no languages", { ...found, rows: [{ ...row, languages: undefined }] }],
    ["a language without numbers", { ...found, rows: [{ ...row, languages: [{ of: "ja" }] }] }],
    ["pieces that are none", { ...found, rows: [{ ...row, shown: [{ id: 5, text: {} }] }] }],
  ])("is nothing where an imported record has %s", (_, result) => {
    expect(of(result as unknown as Job["result"])).toBeNull();
  });
});
