import { describe, expect, it } from "vitest";

import type { ChatEvent } from "../src/api/chat";
import { ApiError, failure } from "../src/api/errors";
import type { ChatBody } from "../src/api/models";
import { Chats, requestBody, type Asking, type World } from "../src/conversation/chats";
import {
  advance,
  isLive,
  newReply,
  tokensPerSecond,
  type ReplyEvent,
} from "../src/conversation/reply";
import { parseConversation } from "../src/conversation/parse";
import { Drafts, TabStore } from "../src/conversation/store";
import { afterReload, liveReply, path, siblings } from "../src/conversation/tree";
import type { Conversation, Reply } from "../src/conversation/types";

const HOW: Asking = {
  model: "m",
  sampling: { temperature: null, topP: null, maxTokens: null },
  connection: { key: null },
};

/** A stream that the test feeds by hand. */
class Feed implements AsyncIterable<ChatEvent> {
  private readonly waiting: (() => void)[] = [];
  private readonly queue: (ChatEvent | Error)[] = [];
  constructor(
    readonly body: ChatBody,
    readonly signal: AbortSignal,
  ) {
    signal.addEventListener("abort", () => this.push(new DOMException("aborted", "AbortError")));
  }
  push(...events: (ChatEvent | Error)[]): void {
    this.queue.push(...events);
    for (const wake of this.waiting.splice(0)) wake();
  }
  async *[Symbol.asyncIterator]() {
    for (;;) {
      const next = this.queue.shift();
      if (next instanceof Error) throw next;
      if (next?.type === "end") {
        yield next;
        return;
      }
      if (next) yield next;
      else await new Promise<void>((wake) => this.waiting.push(wake));
    }
  }
}

class MemoryStorage implements Storage {
  [name: string]: unknown;
  readonly items = new Map<string, string>();
  constructor(private readonly room = Infinity) {}
  get length() {
    return this.items.size;
  }
  clear = () => this.items.clear();
  getItem = (key: string) => this.items.get(key) ?? null;
  key = (index: number) => [...this.items.keys()][index] ?? null;
  removeItem = (key: string) => void this.items.delete(key);
  setItem = (key: string, value: string) => {
    if (value.length > this.room) throw new DOMException("full", "QuotaExceededError");
    this.items.set(key, value);
  };
}

function stage(storage = new MemoryStorage()) {
  const feeds: Feed[] = [];
  let clock = 1000;
  let ids = 0;
  const later: (() => void)[] = [];
  const world: World = {
    now: () => (clock += 10),
    newId: () => `id${(ids += 1)}`,
    soon: (run) => run(),
    later: (run) => later.push(run),
    stream: (_, body, signal) => {
      const feed = new Feed(body, signal);
      feeds.push(feed);
      return feed;
    },
  };
  const store = new TabStore(() => storage);
  const chats = new Chats(store, world);
  const settle = async () => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };
  const save = async () => {
    for (const run of later.splice(0)) run();
    await settle();
  };
  return { chats, feeds, store, settle, save, world };
}

function head(chats: Chats, id: string): Reply {
  const found = chats.get(id);
  const message = found?.head ? found.messages[found.head] : undefined;
  if (message?.role !== "assistant") throw new Error("the head is no reply");
  return message;
}

/** Begins a conversation. */
function begin(chats: Chats, text: string): string {
  const id = chats.send(null, text, HOW);
  if (id === null) throw new Error("a new conversation was refused");
  return id;
}

describe("advance", () => {
  const fresh = newReply("r", "q", "m", 0);
  const all: ReplyEvent[] = [
    { type: "progress", stage: "queued", done: 3, total: 4 },
    { type: "text", text: "語" },
    { type: "reasoning", text: "hm" },
    { type: "finish", reason: "stop" },
    { type: "usage", usage: { prompt: 1, completion: 2, cached: 0 } },
    { type: "end" },
    { type: "stop" },
    { type: "fail", failure: failure("offline") },
    { type: "reload" },
  ];

  it("keeps its promises whatever comes in whatever order", () => {
    let seed = 20260728;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % below;
    };
    for (let round = 0; round < 3000; round += 1) {
      let reply = fresh;
      for (let step = 0; step < 12; step += 1) {
        const event = all[random(all.length)];
        if (!event) continue;
        const before = reply;
        reply = advance(before, event, step * 100);
        const note = `round ${round}, ${event.type} on ${before.state}`;
        if (!isLive(before)) expect(reply, note).toBe(before); // final means final
        expect(reply.text.startsWith(before.text), note).toBe(true); // words never go
        if (reply.state === "writing") expect(reply.progress, note).toBeNull();
        if (reply.state === "failed") expect(reply.failure, note).not.toBeNull();
        if (!isLive(reply)) expect(reply.progress, note).toBeNull();
      }
    }
  });

  it("measures from the first piece to the last", () => {
    let reply = advance(fresh, { type: "text", text: "a" }, 500);
    reply = advance(reply, { type: "text", text: "b" }, 1500);
    reply = advance(
      reply,
      { type: "usage", usage: { prompt: 1, completion: 21, cached: 0 } },
      9000,
    );
    reply = advance(reply, { type: "end" }, 9000);
    expect(reply.firstAfter).toBe(500);
    expect(tokensPerSecond(reply)).toBe(20);
  });

  it("gives no speed where there was too little to measure", () => {
    const usage = { prompt: 1, completion: 500, cached: 0 };
    const atOnce = advance(fresh, { type: "text", text: "all of it" }, 500);
    expect(tokensPerSecond(advance(atOnce, { type: "usage", usage }, 600))).toBeNull();
    expect(tokensPerSecond(fresh)).toBeNull();
  });
});

describe("Chats", () => {
  it("sends the branch, streams into the reply and ends", async () => {
    const { chats, feeds, settle } = stage();
    const id = begin(chats, "one");
    feeds[0]?.push({ type: "text", text: "first" }, { type: "finish", reason: "stop" });
    await settle();
    expect(head(chats, id)).toMatchObject({ text: "first", state: "writing" });
    feeds[0]?.push({ type: "end" });
    await settle();
    expect(head(chats, id).state).toBe("done");
    chats.send(id, "two", HOW);
    expect(feeds[1]?.body.messages).toEqual([
      { role: "user", content: "one" },
      { role: "assistant", content: "first" },
      { role: "user", content: "two" },
    ]);
  });

  it("stops: aborts the request, keeps the words, takes no further ones", async () => {
    const { chats, feeds, settle } = stage();
    const id = begin(chats, "one");
    feeds[0]?.push({ type: "text", text: "half" });
    await settle();
    chats.stop(id);
    feeds[0]?.push({ type: "text", text: " more" });
    await settle();
    expect(feeds[0]?.signal.aborted).toBe(true);
    expect(head(chats, id)).toMatchObject({ text: "half", state: "stopped", failure: null });
  });

  it("keeps an earlier reply beside the new one, and shows either", async () => {
    const { chats, feeds, settle } = stage();
    const id = begin(chats, "one");
    feeds[0]?.push({ type: "text", text: "A" }, { type: "end" });
    await settle();
    const first = head(chats, id);
    chats.retry(id, first, HOW);
    feeds[1]?.push({ type: "text", text: "B" }, { type: "end" });
    await settle();
    const both = siblings(chats.get(id) as Conversation, first).map((reply) => reply.text);
    expect(both).toEqual(["A", "B"]);
    expect(head(chats, id).text).toBe("B");
    chats.show(id, first.id);
    expect(head(chats, id).text).toBe("A");
    expect(feeds[1]?.body.messages).toEqual([{ role: "user", content: "one" }]);
  });

  it("asks for one reply at a time, and says nothing that is not asked", async () => {
    const { chats, feeds } = stage();
    const id = begin(chats, "one");
    chats.retry(id, head(chats, id), HOW);
    expect(chats.send(id, "two", HOW)).toBeNull();
    expect(feeds).toHaveLength(1);
    expect(path(chats.get(id) as Conversation).map((one) => one.text)).toEqual(["one", ""]);
  });

  it("gives turns in alternation, whatever failed between", async () => {
    const { chats, feeds, settle } = stage();
    const id = begin(chats, "one");
    feeds[0]?.push(new ApiError(failure("offline")));
    await settle();
    chats.send(id, "two", HOW);
    expect(feeds[1]?.body.messages).toEqual([{ role: "user", content: "one\n\ntwo" }]);
  });

  it("gives the text of a refused message back, off the branch", async () => {
    const { chats, feeds, settle } = stage();
    const id = begin(chats, "one");
    feeds[0]?.push({ type: "text", text: "A" }, { type: "end" });
    await settle();
    chats.send(id, "too long", HOW);
    feeds[1]?.push(new ApiError(failure("context", "9000 of 4096")));
    await settle();
    expect(head(chats, id).failure?.said).toBe("9000 of 4096");
    expect(chats.takeBack(id, head(chats, id))).toBe("too long");
    expect(path(chats.get(id) as Conversation).map((one) => one.text)).toEqual(["one", "A"]);
  });

  it("survives a reload: finished stays, running becomes interrupted", async () => {
    const { chats, feeds, settle, save, store, world } = stage();
    const id = begin(chats, "one");
    feeds[0]?.push({ type: "text", text: "half a sen" });
    await settle();
    await save();
    const again = new Chats(store, world);
    await again.load(id);
    expect(head(again, id)).toMatchObject({ text: "half a sen", state: "interrupted" });
    expect(liveReply(again.get(id) as Conversation)).toBeNull();
    await again.load("nowhere");
    expect(again.get("nowhere")).toBeNull();
  });

  it("says when it cannot be kept", async () => {
    const { chats, save } = stage(new MemoryStorage(10));
    chats.send(null, "one", HOW);
    expect(chats.kept).toBe(true);
    await save();
    expect(chats.kept).toBe(false);
  });

  it("leaves to the model what is not set", () => {
    const conversation = { id: "c", createdAt: 0, head: null, messages: {} };
    expect(requestBody(conversation, "q", HOW)).toEqual({ model: "m", messages: [] });
    const sampling = { temperature: 0, topP: 0.5, maxTokens: 7 };
    expect(requestBody(conversation, "q", { ...HOW, sampling })).toEqual({
      model: "m",
      messages: [],
      temperature: 0,
      top_p: 0.5,
      max_tokens: 7,
    });
  });
});

describe("storage", () => {
  const question = { id: "q", role: "user", parent: null, text: "?" };
  const reply = newReply("r", "q", "m", 0);
  const whole = { id: "c", createdAt: 0, head: "r", messages: { q: question, r: reply } };

  it.each<[string, unknown]>([
    ["a number", 7],
    ["null", null],
    ["nothing", {}],
    ["no messages", { ...whole, messages: null }],
    ["a list", { ...whole, messages: [] }],
    ["a head that is missing", { ...whole, head: "x" }],
    ["a message that is none", { ...whole, messages: { ...whole.messages, x: 7 } }],
    ["a message of another name", { ...whole, messages: { q: question, r: question } }],
    ["a ring", { ...whole, head: "q", messages: { q: { ...question, parent: "q" } } }],
    ["a gap", { ...whole, messages: { r: reply } }],
    ["words that are none", { ...whole, messages: { q: question, r: { ...reply, text: null } } }],
    ["an unknown state", { ...whole, messages: { q: question, r: { ...reply, state: "odd" } } }],
    ["no failure", { ...whole, messages: { q: question, r: { ...reply, failure: 7 } } }],
  ])("takes nothing that is no conversation: %s", (_, damaged) => {
    expect(parseConversation(JSON.stringify(damaged))).toBeNull();
  });

  it("takes a conversation", () => {
    expect(parseConversation(JSON.stringify(whole))).toEqual(whole);
    expect(parseConversation("[")).toBeNull();
  });

  it("keeps drafts apart, and drops empty ones", () => {
    const storage = new MemoryStorage();
    const drafts = new Drafts(() => storage);
    drafts.write(null, "新しい");
    drafts.write("c", "別の");
    expect([drafts.read(null), drafts.read("c"), drafts.read("d")]).toEqual(["新しい", "別の", ""]);
    drafts.write(null, "");
    expect(storage.length).toBe(1);
  });

  it("does without storage", () => {
    const closed = () => {
      throw new DOMException("closed", "SecurityError");
    };
    const drafts = new Drafts(closed);
    drafts.write(null, "x");
    expect(drafts.read(null), "another page was looked at meanwhile").toBe("x");
    expect(new Drafts(closed).read(null)).toBe("");
  });

  it("interrupts only what was alive", () => {
    const done = { ...newReply("r", "q", "m", 0), state: "done" as const };
    const conversation: Conversation = { id: "c", createdAt: 0, head: "r", messages: { r: done } };
    expect(afterReload(conversation, 5).messages["r"]).toBe(done);
  });
});
