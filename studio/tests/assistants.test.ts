import { describe, expect, it } from "vitest";

import {
  meaning,
  testRecipe,
  tryRecipe,
  putAssistant,
  type AssistantDetail,
  type AssistantShown,
  type TrialEvent,
} from "../src/api/assistants";
import { ApiError } from "../src/api/errors";
import { begun, changed, isUnsaved, opened } from "../src/assistants/draft";
import {
  homeOf,
  isOn,
  lineRange,
  placed,
  shownValue,
  typedLines,
  typedNumber,
  typedValue,
  typedWords,
  withGuard,
  withOption,
} from "../src/assistants/fields";
import {
  freeName,
  inLanguage,
  inOrder,
  isName,
  matches,
  readFilter,
  writeFilter,
} from "../src/assistants/gallery";
import { FRESH, heard, messagesOf, waiting, type Answer } from "../src/assistants/trial";

function assistant(part: Partial<AssistantShown>): AssistantShown {
  return {
    name: "translator",
    own: false,
    hides: false,
    tag: "t",
    title: { en: "Translator", ja: "翻訳" },
    about: { en: "Translates.", ja: "訳します。" },
    models: [],
    router: false,
    technique: null,
    tools: [],
    memory: false,
    guards: [],
    starters: [],
    tests: 0,
    problem: null,
    ...part,
  };
}

function detail(text: string, part: Partial<AssistantShown> = {}): AssistantDetail {
  return { assistant: assistant(part), text, fields: { system: text }, problems: [] };
}

const problem = (place: string) => ({ place, message: `${place} is wrong`, line: null });

describe("the gallery", () => {
  const all = [
    assistant({}),
    assistant({
      name: "mine",
      own: true,
      title: { en: "", ja: "" },
      about: { en: "", ja: "" },
      tools: ["calculator"],
    }),
  ];
  const found = (search: string, show: "own" | "ready" | null = null) =>
    all.filter((one) => matches(one, { search, show })).map((one) => one.name);

  it("finds by name, title in either language, model and tool, whatever the width", () => {
    expect(found("")).toEqual(["translator", "mine"]);
    expect(found("翻訳")).toEqual(["translator"]);
    expect(found("ＴＲＡＮＳ")).toEqual(["translator"]);
    expect(found("calc min")).toEqual(["mine"]);
    expect(found("calc trans")).toEqual([]);
    expect(found("", "own")).toEqual(["mine"]);
    expect(found("", "ready")).toEqual(["translator"]);
  });

  it("keeps what it shows in the address", () => {
    const address = writeFilter(new URLSearchParams("x=1"), { search: "a b", show: "own" });
    expect(readFilter(address)).toEqual({ search: "a b", show: "own" });
    expect(address.get("x")).toBe("1");
    expect(writeFilter(address, { search: "", show: null }).toString()).toBe("x=1");
    expect(readFilter(new URLSearchParams("show=others")).show).toBeNull();
  });

  it("puts own ones first, and speaks the reader's language where it can", () => {
    expect(inOrder(all, "en").map((one) => one.name)).toEqual(["mine", "translator"]);
    expect(inLanguage({ en: "a", ja: "" }, "ja")).toBe("a");
    expect(inLanguage({ en: "a", ja: "あ" }, "ja")).toBe("あ");
  });

  it("knows the server's rule for names, and finds free ones", () => {
    for (const name of ["a", "A-1_b.c", "x".repeat(128)]) expect(isName(name), name).toBe(true);
    for (const name of ["", "-new", ".a", "a b", "a/b", "語", "x".repeat(129)])
      expect(isName(name), name).toBe(false);
    expect(freeName("a", ["a"])).toBe("a-2");
    expect(freeName("a-2", ["a", "a-2", "a-3"])).toBe("a-4");
  });
});

describe("fields", () => {
  it("take numbers as they are typed, and what is none as it is", () => {
    expect(typedNumber(" ")).toBeNull();
    expect(typedNumber("0.5")).toBe(0.5);
    expect(typedNumber("０．５")).toBe(0.5);
    expect(typedNumber("hot")).toBe("hot");
    expect(typedNumber("1e999")).toBe("1e999");
  });

  it("take options as JSON where they are some", () => {
    expect(typedValue("")).toBeUndefined();
    expect(typedValue("3")).toBe(3);
    expect(typedValue("ja")).toBe("ja");
    expect(typedValue('["a"]')).toEqual(["a"]);
    expect(shownValue(typedValue('["a"]'))).toBe('["a"]');
    expect(withOption({ a: 1 }, "b", 2)).toEqual({ a: 1, b: 2 });
    expect(withOption({ a: 1, b: 2 }, "b", undefined)).toEqual({ a: 1 });
    expect(typedWords("a、b, c ,,")).toEqual(["a", "b", "c"]);
    expect(typedLines(" docs\n\nmy notes, 2.md \n")).toEqual(["docs", "my notes, 2.md"]);
  });

  it("switch guards against what is usual", () => {
    const usual = { standard: true };
    expect(isOn(usual, "leak", true)).toBe(true);
    expect(isOn(usual, "personal", false)).toBe(false);
    expect(isOn({}, "leak", true)).toBe(false);
    expect(isOn({ leak: { letters: 3 } }, "leak", true)).toBe(true);
    expect(withGuard(usual, "leak", true, false)).toEqual({ standard: true, leak: false });
    expect(withGuard({ standard: true, leak: false }, "leak", true, true)).toEqual(usual);
    expect(withGuard(usual, "personal", false, true)).toEqual({ standard: true, personal: true });
  });

  it("have a place for everything that can be wrong", () => {
    expect(homeOf("sampling.temperature")).toBe("sampling.temperature");
    expect(homeOf("sampling.temprature")).toBe("sampling");
    expect(homeOf("tools.1.options")).toBe("tools.1");
    expect(homeOf("tools")).toBe("tools");
    expect(homeOf("knowledge.1")).toBe("knowledge");
    expect(homeOf("technique.name")).toBe("technique");
    expect(homeOf("technique.options.paths")).toBe("technique.options");
    expect(homeOf("guards.leak.letters")).toBe("guards.leak");
    expect(homeOf("router.rules.2.pattern")).toBe("router.rules.2");
    expect(homeOf("router.sure")).toBe("router");
    expect(homeOf("starters.0.en")).toBe("starters.0");
    expect(homeOf("sytem")).toBe("");
    expect(homeOf("")).toBe("");
    const places = placed([problem("title.en"), problem("title"), problem("x")]);
    expect(places.get("title")).toHaveLength(2);
    expect(places.get("")).toHaveLength(1);
  });

  it("find a line in a text", () => {
    const text = "one\ntwo\nthree";
    expect(text.slice(...lineRange(text, 2))).toBe("two");
    expect(text.slice(...lineRange(text, 9))).toBe("three");
    expect(text.slice(...lineRange(text, 0))).toBe("one");
  });
});

describe("a draft", () => {
  const checked = (version: number, text: string, system: string | null) => ({
    type: "checked" as const,
    version,
    found: { text, fields: system === null ? null : { system }, problems: [problem("system")] },
  });

  it("is unsaved from the first change until it is saved", () => {
    const start = opened(detail("a"));
    expect(isUnsaved(start)).toBe(false);
    let draft = changed(start, { type: "fields", part: { system: "b" } });
    expect(isUnsaved(draft)).toBe(true);
    draft = changed(draft, checked(draft.version, "system: b", "b"));
    expect([draft.ahead, draft.text, isUnsaved(draft)]).toEqual([null, "system: b", true]);
    draft = changed(draft, { type: "saved", detail: detail("system: b", { tag: "u" }) });
    expect(isUnsaved(draft)).toBe(false);
    expect(draft.saved?.tag).toBe("u");
  });

  it("keeps what is typed in the form where it does not hold", () => {
    let draft = changed(opened(detail("a")), { type: "fields", part: { system: "typed" } });
    draft = changed(draft, checked(draft.version, "text", null));
    expect(draft.fields?.system).toBe("typed");
    expect(draft.problems).toHaveLength(1);
    // Looked at once more, as before saving, with nothing changed since.
    draft = changed(draft, checked(draft.version, "text", null));
    expect(draft.fields?.system).toBe("typed");
  });

  it("takes the form from the YAML, or none where that cannot be read", () => {
    let draft = changed(opened(detail("a")), { type: "text", text: "b" });
    draft = changed(draft, checked(draft.version, "b", "read"));
    expect(draft.fields?.system).toBe("read");
    draft = changed(draft, { type: "text", text: "c: [" });
    draft = changed(draft, checked(draft.version, "c: [", null));
    expect(draft.fields).toBeNull();
  });

  it("passes over answers to what it was before", () => {
    const first = changed(opened(detail("a")), { type: "text", text: "b" });
    const second = changed(first, { type: "text", text: "bc" });
    expect(changed(second, checked(first.version, "b", "old"))).toBe(second);
  });

  it("keeps what was typed while it was being saved", () => {
    const typed = changed(opened(detail("a")), { type: "text", text: "later" });
    const draft = changed(typed, { type: "saved", detail: detail("earlier") });
    expect(draft.text).toBe("later");
    expect(isUnsaved(draft)).toBe(true);
  });

  it("goes back to what is saved, or to its beginning", () => {
    const start = opened(detail("a"));
    const typed = changed(start, { type: "text", text: "b" });
    expect(changed(typed, { type: "forget", start }).text).toBe("a");
    const fresh = begun("x-2", detail("like"));
    const more = changed(fresh, { type: "text", text: "b" });
    const back = changed(more, { type: "forget", start: fresh });
    expect([back.text, back.name]).toEqual(["like", "x-2"]);
    expect(back.version).toBeGreaterThan(more.version);
  });
});

function answered(events: readonly TrialEvent[], state: Answer["state"] = "ended"): Answer {
  return { ...events.reduce(heard, FRESH), state };
}

describe("a trial", () => {
  it("hears words, steps and calls that come in pieces", () => {
    const answer = answered([
      { type: "step", name: "route", detail: "small" },
      { type: "text", text: "To" },
      { type: "text", text: "kyo" },
      { type: "call", index: 0, id: "c1", name: "clock", arguments: '{"a"' },
      { type: "call", index: 0, id: "", name: "", arguments: ":1}" },
      { type: "finish", reason: "approval" },
    ]);
    expect(answer.text).toBe("Tokyo");
    expect(answer.steps).toEqual([{ name: "route", detail: "small" }]);
    expect(waiting(answer)).toEqual([{ id: "c1", name: "clock", arguments: '{"a":1}' }]);
  });

  it("sends the conversation with the person's word on calls", () => {
    const waits = answered([
      { type: "call", index: 0, id: "c1", name: "clock", arguments: "{}" },
      { type: "finish", reason: "approval" },
    ]);
    const turns = [
      { question: "When?", allowed: null, answer: waits },
      { question: null, allowed: true, answer: answered([{ type: "text", text: "Now." }]) },
      { question: "And?", allowed: null, answer: FRESH },
    ];
    expect(messagesOf(turns)).toEqual([
      { role: "user", content: "When?" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "clock", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c1", content: '{"approval":"yes"}' },
      { role: "assistant", content: "Now." },
      { role: "user", content: "And?" },
    ]);
    const refused = messagesOf([
      ...turns.slice(0, 1),
      { question: "No.", allowed: null, answer: FRESH },
    ]);
    expect(refused.at(-2)).toEqual({
      role: "tool",
      tool_call_id: "c1",
      content: '{"approval":"no"}',
    });
  });

  it("leaves out replies that said nothing", () => {
    const turns = [
      { question: "a", allowed: null, answer: answered([], "failed") },
      { question: "b", allowed: null, answer: FRESH },
    ];
    expect(messagesOf(turns).map((one) => one.role)).toEqual(["user", "user"]);
  });
});

/** A `fetch` that answers one body, and notes what it was asked. */
function answering(body: string, status = 200, kind = "text/event-stream") {
  const asked: { path: string; init: RequestInit }[] = [];
  const answer = (path: unknown, init?: RequestInit) => {
    asked.push({ path: String(path), init: init ?? {} });
    return Promise.resolve(new Response(body, { status, headers: { "Content-Type": kind } }));
  };
  return { to: { key: null, fetch: answer as typeof fetch }, asked };
}

async function all<T>(events: AsyncGenerator<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const event of events) found.push(event);
  return found;
}

describe("the server's words", () => {
  const signal = new AbortController().signal;
  const recipe = { name: "x", text: "system: a" };

  it("are read from a trial's stream", async () => {
    const { to } = answering(
      'event: kataribe.step\ndata: {"name": "route", "detail": "a"}\n\n' +
        'data: {"choices": [{"delta": {"content": "Hi"}, "index": 0}]}\n\n' +
        'data: {"choices": [{"delta": {}, "index": 0, "finish_reason": "stop"}]}\n\n' +
        "data: [DONE]\n\n",
    );
    const types = (await all(tryRecipe(to, recipe, [], signal))).map((one) => one.type);
    expect(types).toEqual(["step", "text", "finish", "end"]);
    const cut = answering('data: {"choices": [{"delta": {"content": "Hi"}, "index": 0}]}\n\n');
    await expect(all(tryRecipe(cut.to, recipe, [], signal))).rejects.toThrow(ApiError);
    expect(meaning({ event: "kataribe.other", data: "{}" })).toEqual([]);
  });

  it("are read from tests, whose end is said", async () => {
    const result = '{"number": 0, "ask": "a", "reply": "b", "failed": []}';
    const good = answering(`: testing\n\ndata: ${result}\n\ndata: [DONE]\n\n`);
    expect(await all(testRecipe(good.to, recipe, signal))).toEqual([JSON.parse(result)]);
    const cut = answering(`data: ${result}\n\n`);
    await expect(all(testRecipe(cut.to, recipe, signal))).rejects.toThrow(ApiError);
    const failed = answering('data: {"error": {"message": "No.", "code": "unavailable"}}\n\n');
    await expect(all(testRecipe(failed.to, recipe, signal))).rejects.toThrow("No.");
  });

  it("say over what is written, and that somebody else was there", async () => {
    const taken = '{"error": {"message": "Changed.", "code": "changed_meanwhile"}}';
    const { to, asked } = answering(taken, 412, "application/json");
    const over = putAssistant(to, recipe, "abc");
    await expect(over).rejects.toMatchObject({ failure: { kind: "taken" } });
    await expect(putAssistant(to, recipe, null)).rejects.toThrow(ApiError);
    const headers = asked.map((one) => one.init.headers as Record<string, string>);
    expect(headers[0]?.["If-Match"]).toBe('"abc"');
    expect(headers[1]?.["If-None-Match"]).toBe("*");
  });
});
