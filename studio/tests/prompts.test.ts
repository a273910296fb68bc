import { describe, expect, it } from "vitest";

import { ApiError } from "../src/api/errors";
import {
  runPrompt,
  type PromptAnswer,
  type PromptVersion,
  type RunEvent,
} from "../src/api/prompts";
import {
  ALONE,
  cellKey,
  heard,
  plain,
  QUEUED,
  requestOf,
  restored,
  rowsOf,
  summaryOf,
  tokensOf,
  versionOf,
  type Answer,
  type Column,
  type Setup,
  type Written,
} from "../src/prompts/bench";
import { isName, isUnsaved } from "../src/prompts/draft";
import { AT_ONCE, BenchQueue } from "../src/prompts/queue";
import { cellsOf, freshRow, MOST_ROWS, pasted, withPasted } from "../src/prompts/rows";
import { faultOf, valueOf, variablesOf } from "../src/prompts/template";

describe("a template", () => {
  it("names its variables once, in order, in any script", () => {
    expect(variablesOf("{{b}} {{ a }} {{b}} {{名前}} {{_x1}}")).toEqual(["b", "a", "名前", "_x1"]);
    expect(valueOf({}, "constructor")).toBe(undefined);
    expect(variablesOf("\\{{no}} {one} {{1st}} {{a b}} {{}}")).toEqual([]);
  });

  it("says where braces begin no variable", () => {
    expect(faultOf("fine {{a}} \\{{ }} }")).toBeNull();
    expect(faultOf("one\ntwo {{1st}}")).toEqual({ line: 2, piece: "{{1st}}" });
    expect(faultOf("open {{ only")).toEqual({ line: 1, piece: "{{" });
  });
});

describe("pasted rows", () => {
  it("are read with tabs or commas, quotes and line ends of any kind", () => {
    expect(cellsOf("a\tb\r\nc\td\n")).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    expect(cellsOf('"one, ""two""\nthree",b\rc,')).toEqual([
      ['one, "two"\nthree', "b"],
      ["c", ""],
    ]);
    expect(cellsOf("a, b\tc")).toEqual([["a, b", "c"]]);
    expect(cellsOf("\n\n")).toEqual([]);
  });

  it("go to the variables by name, or else in order", () => {
    expect(pasted("to\tfrom\n1\t2", ["from", "to"])).toEqual([{ to: "1", from: "2" }]);
    expect(pasted("1\t2\t3", ["a", "b"])).toEqual([{ a: "1", b: "2" }]);
    expect(pasted("x", ["a", "b"], 1)).toEqual([{ b: "x" }]);
  });

  it("take the place of blank rows, and only so many", () => {
    const { rows, left } = withPasted([freshRow({ a: "" }), freshRow({ a: "0" })], [{ a: "1" }]);
    expect(rows.map(({ values }) => values)).toEqual([{ a: "0" }, { a: "1" }]);
    expect(left).toBe(0);
    const many = Array.from({ length: MOST_ROWS + 3 }, () => ({ a: "x" }));
    expect(withPasted([], many)).toMatchObject({ left: 3 });
    expect(withPasted([], []).rows).toHaveLength(1);
  });
});

describe("a draft", () => {
  it("has a name that the server takes", () => {
    for (const name of ["a", "翻訳", "_x", "a.b-c_1", "ガ"]) expect(isName(name), name).toBe(true);
    for (const name of ["", "-new", "a b", "a@2", "/", "x".repeat(65)])
      expect(isName(name), name).toBe(false);
  });

  it("knows what is not saved", () => {
    expect(isUnsaved({ name: "", text: "", note: "" }, null)).toBe(false);
    expect(isUnsaved({ name: "", text: "x", note: "" }, null)).toBe(true);
  });
});

function version(number: number, text: string): PromptVersion {
  return { number, text, variables: [], note: "", answers: 0, created_at: 0 };
}

const COLUMN: Column = {
  id: "c",
  model: "m",
  technique: null,
  options: {},
  tools: [],
  version: null,
};
const WRITTEN: Written = {
  id: "p",
  text: "Say {{a}}",
  versions: [version(1, "Tell {{b}}"), version(2, "Say {{a}}")],
};
const SETUP: Setup = {
  columns: [COLUMN],
  rows: [{ id: "r", values: { a: "1", b: "2" } }],
  repeats: 1,
  temperature: null,
  maxTokens: null,
};
const ROW = SETUP.rows[0] ?? freshRow();

describe("what is asked", () => {
  it("is a kept version wherever the words are one", () => {
    expect(requestOf(COLUMN, ROW, WRITTEN, SETUP)).toEqual({
      prompt: "p",
      version: 2,
      variables: { a: "1" },
      model: "m",
    });
    expect(requestOf({ ...COLUMN, version: 1 }, ROW, WRITTEN, SETUP)).toMatchObject({
      version: 1,
      variables: { b: "2" },
    });
  });

  it("is the text where that is not saved", () => {
    const written = { ...WRITTEN, text: "New {{a}}{{c}}" };
    expect(versionOf(COLUMN, written)).toBeNull();
    expect(requestOf(COLUMN, ROW, written, { temperature: 0, maxTokens: 5 })).toEqual({
      text: "New {{a}}{{c}}",
      variables: { a: "1", c: "" },
      model: "m",
      sampling: { temperature: 0, max_tokens: 5 },
    });
  });

  it("has a technique with its options, and tools for react only", () => {
    const asked = { ...COLUMN, technique: "react", options: { steps: 2 }, tools: ["calculator"] };
    expect(requestOf(asked, ROW, WRITTEN, SETUP)).toMatchObject({
      technique: { name: "react", options: { steps: 2 } },
      tools: ["calculator"],
    });
    expect(requestOf({ ...asked, technique: "zero-shot" }, ROW, WRITTEN, SETUP)).not.toHaveProperty(
      "tools",
    );
  });
});

const NO_USAGE = { prompt: null, cached: null, completion: null };

function kept(part: Partial<PromptAnswer>): PromptAnswer {
  return {
    key: 1,
    id: "a",
    version: 2,
    model: "m",
    technique: null,
    variables: { a: "1" },
    text: "said",
    finish: "stop",
    detail: "",
    usage: NO_USAGE,
    took: 1,
    message: null,
    conversation: null,
    created_at: 0,
    ...part,
  };
}

describe("what the server keeps", () => {
  it("comes back to its cell, the newest of each", () => {
    const answers = [
      kept({ text: "new" }),
      kept({ text: "old" }),
      kept({ text: "other input", variables: { a: "9" } }),
      kept({ text: "other model", model: "n" }),
      kept({ text: "other version", version: 1 }),
      kept({ text: "other way", technique: { name: "react", options: {} } }),
    ];
    const found = restored(SETUP, WRITTEN, answers);
    expect(found.get(cellKey("c", "r"))?.map(({ text }) => text)).toEqual(["new"]);
    const twice = restored({ ...SETUP, repeats: 2 }, WRITTEN, answers);
    expect(twice.get(cellKey("c", "r"))?.map(({ text }) => text)).toEqual(["old", "new"]);
  });

  it("stands at the one input of a prompt without variables", () => {
    const written = { ...WRITTEN, text: "Hi", versions: [version(1, "Hi")] };
    expect(rowsOf(SETUP, written)).toEqual([ALONE]);
    const found = restored(SETUP, written, [kept({ version: 1, variables: {} })]);
    expect(found.get(cellKey("c", ALONE.id))).toHaveLength(1);
  });
});

describe("an answer", () => {
  it("grows by what is told", () => {
    let answer: Answer = { ...QUEUED, state: "asking", askedAt: 1000 };
    const events: RunEvent[] = [
      { type: "progress", stage: "reading", done: 3 },
      { type: "step", name: "tree", detail: '{"a": 1}' },
      { type: "step", name: "call", detail: "x", content: "{}", call: "1", tokens: 4 },
      { type: "reasoning", text: "hm" },
      { type: "delta", text: "4" },
      { type: "delta", text: "2" },
    ];
    for (const event of events) answer = heard(answer, event, 3000);
    expect(answer).toMatchObject({ text: "42", reasoning: "hm", progress: { done: 3 } });
    expect(
      answer.steps.map(({ content, call, tokens, at }) => [content, call, tokens, at]),
    ).toEqual([
      ['{"a": 1}', "", 0, 2],
      ["{}", "1", 4, 2],
    ]);
    const usage = { prompt: 2, cached: 0, completion: 3 };
    answer = heard(
      answer,
      { type: "answer", text: "42.", finish: "stop", usage, took: 2.5, dollars: 0, answer: "id" },
      3000,
    );
    expect(answer).toMatchObject({ text: "42.", tokens: 5, took: 2.5, dollars: 0, kept: "id" });
    expect(tokensOf(NO_USAGE)).toBeNull();
  });
});

function ended(text: string, part: Partial<Answer> = {}): Answer {
  return { ...QUEUED, state: "ended", text, tokens: 10, took: 1, dollars: 0.5, ...part };
}

describe("a summary", () => {
  it("means and adds up what has ended", () => {
    const found = summaryOf([
      [ended("Yes."), ended("yes", { tokens: 20, took: 3 })],
      [ended("a"), ended("b"), { ...QUEUED, state: "failed" }],
    ]);
    expect(found).toEqual({
      ended: 4,
      failed: 1,
      tokens: 12.5,
      seconds: 1.5,
      dollars: 2,
      agreement: 0.75,
    });
  });

  it("says nothing that it does not know", () => {
    expect(summaryOf([[ended("a", { dollars: null })]])).toMatchObject({
      dollars: null,
      agreement: null,
    });
    expect(summaryOf([])).toMatchObject({ tokens: null, seconds: null, dollars: null });
    expect(plain("  ＡＢ  c。")).toBe("ab c");
  });
});

interface Open {
  body: object;
  signal: AbortSignal;
  tell: (event: RunEvent) => Promise<void>;
  fail: (error: Error) => Promise<void>;
  end: () => Promise<void>;
}

/** A server whose answers a test writes by hand. */
function stage() {
  const opened: Open[] = [];
  const settle = () => new Promise<void>((then) => setTimeout(then, 0));
  const queue = new BenchQueue(
    async function* (body, signal) {
      const items: (RunEvent | Error | null)[] = [];
      let wake: () => void = () => undefined;
      const put = (item: RunEvent | Error | null) => {
        items.push(item);
        wake();
        return settle();
      };
      signal.addEventListener("abort", () => void put(new Error("aborted")));
      opened.push({ body, signal, tell: put, fail: put, end: () => put(null) });
      for (;;) {
        while (items.length === 0) await new Promise<void>((then) => (wake = then));
        const item = items.shift();
        if (item == null) return;
        if (item instanceof Error) throw item;
        yield item;
      }
    },
    () => undefined,
    (then) => {
      then();
      return 0;
    },
    () => 0,
  );
  return { opened, queue, settle };
}

const wanted = (...cells: string[]) => cells.map((cell) => ({ cell, body: { model: cell } }));

describe("the queue of a bench", () => {
  it("asks a few at once, and the next when one has ended", async () => {
    const { opened, queue, settle } = stage();
    queue.run(wanted("a", "b", "c", "d", "e"));
    await settle();
    expect(opened).toHaveLength(AT_ONCE);
    expect(queue.counts()).toEqual({ asking: 3, waiting: 2 });
    await opened[1]?.tell({ type: "delta", text: "b" });
    await opened[1]?.end();
    expect(opened.map(({ body }) => body)).toEqual([
      { model: "a" },
      { model: "b" },
      { model: "c" },
      { model: "d" },
    ]);
    expect(queue.cell("b")).toMatchObject([{ state: "ended", text: "b" }]);
    expect(queue.counts()).toEqual({ asking: 3, waiting: 1 });
  });

  it("keeps a failure in its cell, and goes on", async () => {
    const { opened, queue, settle } = stage();
    queue.run(wanted("a", "b", "c", "d"));
    await settle();
    await opened[0]?.fail(new ApiError({ kind: "busy", said: "full", retryAt: null }));
    expect(queue.cell("a")).toMatchObject([{ state: "failed", failure: { kind: "busy" } }]);
    expect(opened).toHaveLength(4);
  });

  it("stops one or all: what was said stays, what waited is not asked", async () => {
    const { opened, queue, settle } = stage();
    queue.run(wanted("a", "b", "c", "d", "e"));
    await settle();
    await opened[0]?.tell({ type: "delta", text: "so far" });
    queue.stop("a");
    await settle();
    expect(queue.cell("a")).toMatchObject([{ state: "stopped", text: "so far" }]);
    queue.stop();
    await settle();
    expect(queue.counts()).toEqual({ asking: 0, waiting: 0 });
    expect(opened).toHaveLength(4);
    expect(queue.cell("e")).toMatchObject([{ state: "stopped", text: "" }]);
  });

  it("begins a cell anew, whatever it said before", async () => {
    const { opened, queue, settle } = stage();
    queue.run(wanted("a", "a"));
    await settle();
    expect(queue.cell("a")).toHaveLength(2);
    queue.run(wanted("a"));
    await settle();
    expect(opened.map(({ signal }) => signal.aborted)).toEqual([true, true, false]);
    expect(queue.cell("a")).toMatchObject([{ state: "asking" }]);
    queue.fill(
      new Map([
        ["a", [ended("kept")]],
        ["z", [ended("kept")]],
      ]),
    );
    expect(queue.cell("a")).toMatchObject([{ state: "asking" }]);
    expect(queue.cell("z")).toMatchObject([{ text: "kept" }]);
    queue.keepOnly(new Set(["z"]));
    expect(opened[2]?.signal.aborted).toBe(true);
    expect(queue.cell("a")).toHaveLength(0);
    expect(queue.counts()).toEqual({ asking: 0, waiting: 0 });
  });
});

describe("a run over HTTP", () => {
  const answering = (...events: object[]) => ({
    key: null,
    fetch: () =>
      Promise.resolve(
        new Response(events.map((one) => `data: ${JSON.stringify(one)}\n\n`).join("")),
      ),
  });
  const read = async (...events: object[]) => {
    const found: RunEvent[] = [];
    const signal = new AbortController().signal;
    for await (const event of runPrompt(answering(...events), {}, signal)) found.push(event);
    return found;
  };

  it("ends with its end", async () => {
    const found = await read({ type: "delta", text: "a" }, { type: "end" });
    expect(found.map(({ type }) => type)).toEqual(["delta", "end"]);
  });

  it("fails where it breaks off, or says so", async () => {
    await expect(read({ type: "delta", text: "a" })).rejects.toMatchObject({
      failure: { kind: "broken" },
    });
    const error = { code: "queue_full", message: "full" };
    await expect(read({ type: "error", error })).rejects.toMatchObject({
      failure: { kind: "busy", said: "full" },
    });
  });
});
