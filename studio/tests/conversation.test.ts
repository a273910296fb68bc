import { beforeEach, describe, expect, it } from "vitest";

import type { ConversationApi, ConversationBody, SendBody } from "../src/api/conversations";
import { EventLine, type EventName, type ServerEvents } from "../src/api/events";
import { ApiError, failure } from "../src/api/errors";
import { Acts } from "../src/conversation/acts";
import { Chats } from "../src/conversation/chats";
import { shuffled, steps } from "../src/conversation/compare";
import { Shelf } from "../src/conversation/shelf";
import { blank } from "../src/conversation/shown";
import { Drafts, Kept, Outbox } from "../src/conversation/store";
import { tokensPerSecond } from "../src/conversation/speed";
import { Tree } from "../src/conversation/tree";
import type { Message, Node } from "../src/conversation/types";

const HOW = { models: ["small"], sampling: {} };

function message(id: string, parent: string | null, more: Partial<Message> = {}): Message {
  return {
    id,
    parent,
    role: "assistant",
    state: "writing",
    text: "",
    reasoning: "",
    model: "small",
    group: null,
    asked: {},
    sources: [],
    attachments: [],
    finish: null,
    detail: "",
    failure: null,
    progress: null,
    usage: null,
    first_after: null,
    took: null,
    rating: 0,
    remark: "",
    created_at: 0,
    steps: [],
    consents: [],
    ...more,
  };
}

const question = (id: string, parent: string | null, text = id) =>
  message(id, parent, { role: "user", state: "sent", text, model: null });

function node(id: string, parent: string | null): Node {
  return { id, parent, role: id.startsWith("q") ? "user" : "assistant", length: 1 };
}

function body(messages: Message[], head: string | null, version = 1): ConversationBody {
  const summary = {
    id: "c",
    title: "",
    titled_by: null,
    folder: "",
    pinned: false,
    model: "small",
    created_at: 0,
    updated_at: 0,
    deleted: false,
    running: false,
    waiting: 0,
  };
  const nodes = messages.map(({ id, parent, role, text }) => ({
    id,
    parent,
    role,
    length: text.length,
  }));
  return {
    summary,
    system: "",
    sampling: {},
    allowed: [],
    head,
    version,
    nodes,
    messages,
    queue: [],
    votes: {},
  };
}

class MemoryStorage {
  readonly kept = new Map<string, string>();
  getItem = (name: string) => this.kept.get(name) ?? null;
  setItem = (name: string, value: string) => void this.kept.set(name, value);
  removeItem = (name: string) => void this.kept.delete(name);
}

const keptIn = (storage: MemoryStorage) => new Kept(() => storage as unknown as Storage);

/** Lets everything that was begun come to its end. */
const settle = () => new Promise((done) => setTimeout(done, 0));

describe("a tree", () => {
  const tree = Tree.of([
    node("q1", null),
    node("a1", "q1"),
    node("a2", "q1"),
    node("q2", "a1"),
    node("a3", "q2"),
  ]);

  it("gives the branch down to a message", () => {
    expect(tree.path("a3")).toEqual(["q1", "a1", "q2", "a3"]);
    expect(tree.path("a2")).toEqual(["q1", "a2"]);
    expect(tree.path(null)).toEqual([]);
  });

  it("knows what stands beside and what is newest below", () => {
    expect(tree.siblings("a1")).toEqual(["a1", "a2"]);
    expect(tree.newest("a1")).toBe("a3");
    expect(tree.countBelow("q1")).toBe(4);
  });

  it("is a value: putting in and taking out give others", () => {
    const more = tree.with(node("q3", "a2"));
    expect(more.newest("a2")).toBe("q3");
    expect(tree.newest("a2")).toBe("a2");
    expect(more.without(["q3"]).has("q3")).toBe(false);
    expect(more.siblings("a1")).toBe(more.siblings("a1"));
  });

  it("ends at a gap or in a ring, and never runs on", () => {
    expect(Tree.of([node("q1", "nowhere")]).path("q1")).toEqual(["q1"]);
    expect(Tree.of([node("q1", "a1"), node("a1", "q1")]).path("a1")).toEqual(["q1", "a1"]);
  });
});

describe("words that arrive", () => {
  let shelf: Shelf;
  beforeEach(() => {
    shelf = new Shelf((run) => run());
    shelf.put(message("a", "q", { state: "waiting" }));
  });
  it("keeps what a reply waits for when an older answer says nothing of it", () => {
    const progress = { stage: "queued" as const, done: 2, total: 3, eta: null };
    shelf.progress("a", progress);
    shelf.put(message("a", "q", { state: "waiting" }));
    expect(shelf.get("a")?.progress).toEqual(progress);
    shelf.put(message("a", "q", { state: "writing", text: "one" }));
    expect(shelf.get("a")?.progress).toBeNull();
  });

  const text = () => shelf.get("a")?.text;

  it("go to their place, twice told or not", () => {
    expect(shelf.write("a", "text", 0, "one ")).toBe("done");
    expect(shelf.write("a", "text", 0, "one ")).toBe("done");
    expect(shelf.write("a", "text", 2, "e two")).toBe("done");
    expect(text()).toBe("one two");
    expect(shelf.get("a")?.state).toBe("writing");
  });

  it("come with the number of tokens, where the model counts them", () => {
    shelf.write("a", "text", 0, "one ", 3);
    expect(shelf.get("a")?.written).toBe(3);
    shelf.write("a", "text", 4, "two");
    expect(shelf.get("a")?.written).toBe(3);
  });

  it("with words missing before them are a gap", () => {
    expect(shelf.write("a", "text", 4, "two")).toBe("gap");
    expect(shelf.write("unknown", "text", 0, "x")).toBe("gap");
    expect(text()).toBe("");
  });

  it("count in UTF-16 units, as the server does", () => {
    shelf.write("a", "text", 0, "語り🎴");
    expect(shelf.write("a", "text", 4, "部")).toBe("done");
    expect(text()).toBe("語り🎴部");
  });

  it("come too late for a reply that has ended", () => {
    shelf.put(message("a", "q", { state: "done", text: "whole" }));
    expect(shelf.write("a", "text", 5, " and more")).toBe("done");
    expect(text()).toBe("whole");
  });

  it("are not undone by an older answer", () => {
    shelf.write("a", "text", 0, "long words");
    expect(shelf.put(message("a", "q", { text: "long" }))).toBe(false);
    shelf.put(message("a", "q", { state: "stopped", text: "long wor" }));
    expect(text()).toBe("long wor");
    expect(shelf.put(message("a", "q", { text: "long words and" }))).toBe(false);
  });

  it("draw their own message only, and once for many", () => {
    const frames: (() => void)[] = [];
    const calm = new Shelf((run) => frames.push(run));
    calm.put(message("a", "q"));
    calm.put(message("b", "q"));
    frames.splice(0).forEach((run) => run());
    const drawn = { a: 0, b: 0 };
    calm.subscribe("a", () => (drawn.a += 1));
    calm.subscribe("b", () => (drawn.b += 1));
    for (let at = 0; at < 50; at += 1) calm.write("a", "text", at, "x");
    frames.splice(0).forEach((run) => run());
    expect(drawn).toEqual({ a: 1, b: 0 });
  });
});

describe("replies side by side", () => {
  it("are one step; others are steps of their own", () => {
    expect(steps(["a", "b", "c", "d"], ["g", "", "g", ""])).toEqual([["a", "c"], ["b"], ["d"]]);
    expect(steps(["a"], [])).toEqual([["a"]]);
  });

  it("keep an order that does not follow their own", () => {
    const ids = ["a", "b", "c", "d"];
    const orders = new Set(
      Array.from({ length: 64 }, (_, at) => shuffled(`question${at}`, ids).join("")),
    );
    expect(orders.size).toBeGreaterThan(8);
    expect(shuffled("question", ids)).toEqual(shuffled("question", [...ids].reverse()));
  });
});

class FakeLine extends EventLine {
  watched: string | null = null;

  constructor() {
    super(() => ({ key: null }), { visible: () => false, after: () => () => undefined });
  }

  override watch(conversation: string | null): void {
    this.watched = conversation;
  }

  open(): void {
    this["become"]("open");
  }

  tellOf<N extends EventName>(name: N, data: ServerEvents[N]): void {
    this["tell"]({ event: name, data: JSON.stringify(data) });
  }
}

describe("this tab's copy", () => {
  const said: SendBody[] = [];
  let storage: MemoryStorage;
  let line: FakeLine;
  let chats: Chats;
  let acts: Acts;
  let server: Partial<Record<keyof ConversationApi, (...args: never[]) => unknown>>;
  let next: number;

  beforeEach(() => {
    said.length = 0;
    next = 0;
    storage = new MemoryStorage();
    line = new FakeLine();
    server = {
      open: async () => body([question("q1", null), message("a1", "q1", { state: "done" })], "a1"),
      create: async () => body([], null),
      read: async () => [],
      send: async (_: string, sent: SendBody) => {
        said.push(sent);
        return { id: sent.id, state: "queued", replies: [], version: 2 };
      },
    };
    const kept = keptIn(storage);
    chats = new Chats(server as unknown as ConversationApi, line, new Outbox(kept), {
      newId: () => `new${(next += 1)}`,
      soon: (run) => run(),
      after: (_, run) => queueMicrotask(run),
    });
    acts = new Acts(chats);
  });
  const shown = () => chats.get("c");

  it("follows what the server tells", async () => {
    chats.watch("c");
    await settle();
    expect(shown()?.path).toEqual(["q1", "a1"]);
    line.tellOf("message", question("q2", "a1"));
    line.tellOf("message", message("a2", "q2", { state: "waiting" }));
    line.tellOf("head", { conversation: "c", head: "a2", version: 5 });
    expect(shown()?.path).toEqual(["q1", "a1", "q2", "a2"]);
    expect(shown()?.live).toEqual(["a2"]);
    line.tellOf("delta", { id: "a2", kind: "text", at: 0, text: "words", tokens: 0 });
    expect(chats.shelf.get("a2")?.text).toBe("words");
    line.tellOf("message", message("a2", "q2", { state: "done", text: "words" }));
    expect(shown()?.live).toEqual([]);
    line.tellOf("removed", { conversation: "c", ids: ["q2", "a2"] });
    line.tellOf("head", { conversation: "c", head: "a1", version: 6 });
    expect(shown()?.path).toEqual(["q1", "a1"]);
  });

  it("shows a head as soon as its message is there, in whichever order they come", async () => {
    chats.watch("c");
    await settle();
    line.tellOf("head", { conversation: "c", head: "a2", version: 5 });
    line.tellOf("message", question("q2", "a1"));
    line.tellOf("message", message("a2", "q2"));
    expect(shown()?.path).toEqual(["q1", "a1", "q2", "a2"]);
  });

  it("takes over no answer that the event stream has overtaken", async () => {
    let answer: (body: ConversationBody) => void = () => undefined;
    server.open = () => new Promise((done) => (answer = done));
    chats.put({ ...blank("c", "here"), version: 0 });
    void chats.read("c");
    line.tellOf("message", question("q1", null));
    chats.watch("c");
    line.tellOf("message", question("q1", null));
    line.tellOf("message", message("a1", "q1", { text: "words" }));
    line.tellOf("head", { conversation: "c", head: "a1", version: 3 });
    const older = answer;
    server.open = async () => body([question("q1", null), message("a1", "q1")], "a1", 3);
    older(body([], null, 1));
    await settle();
    await settle();
    expect(shown()?.path).toEqual(["q1", "a1"]);
    expect(chats.shelf.get("a1")?.text).toBe("words");
  });

  it("finds again what an answer older than the event stream took away", async () => {
    let answer: (body: ConversationBody) => void = () => undefined;
    server.open = () => new Promise((done) => (answer = done));
    chats.put({ ...blank("c", "here"), version: 0 });
    chats.watch("c");
    line.tellOf("message", question("q1", null));
    line.tellOf("message", message("a1", "q1", { state: "waiting" }));
    const older = answer;
    older(body([], null, 0)); // asked for before anything was said
    await settle();
    const all = [question("q1", null), message("a1", "q1", { text: "wor" })];
    server.open = async () => body(all, "a1", 3);
    line.tellOf("delta", { id: "a1", kind: "text", at: 0, text: "words", tokens: 0 });
    line.tellOf("head", { conversation: "c", head: "a1", version: 3 });
    await settle();
    await settle();
    expect(shown()?.path).toEqual(["q1", "a1"]);
    expect(chats.shelf.get("a1")?.text).toBe("words");
  });

  it("places what was told of a question before an older answer took it away", async () => {
    let answer: (body: ConversationBody) => void = () => undefined;
    server.open = () => new Promise((done) => (answer = done));
    server.send = async (_: string, sent: SendBody) => {
      line.tellOf("message", question(sent.id, null));
      line.tellOf("message", message("a1", sent.id, { state: "waiting" }));
      answer(body([], null, 0));
      await Promise.resolve();
      await Promise.resolve();
      server.open = () => new Promise(() => undefined); // nothing that is read mends it
      return { id: sent.id, state: "asked", replies: ["a1"], version: 3 };
    };
    chats.put({ ...blank("c", "here"), version: 0 });
    chats.watch("c");
    acts.send("c", { text: "Hello", attachments: [] }, HOW);
    await settle();
    expect(shown()?.path).toEqual(["new1", "a1"]);
  });

  it("reads no branch again and again that the server itself has no beginning of", async () => {
    let reads = 0;
    server.open = async () => {
      reads += 1;
      return body([message("a1", "gone", { state: "done" })], "a1", 2 + reads);
    };
    chats.watch("c");
    for (let round = 0; round < 5; round += 1) await settle();
    expect(reads).toBe(1);
    line.tellOf("head", { conversation: "c", head: "a1", version: 4 });
    for (let round = 0; round < 5; round += 1) await settle();
    expect(reads).toBe(2);
  });

  it("reads a head of which it was told nothing", async () => {
    chats.watch("c");
    await settle();
    const all = [question("q1", null), message("a1", "q1"), message("a2", "q1")];
    server.open = async () => body(all, "a2", 4);
    line.tellOf("head", { conversation: "c", head: "a2", version: 4 });
    await settle();
    await settle();
    expect(shown()?.path).toEqual(["q1", "a2"]);
  });

  it("reads anew what it missed", async () => {
    chats.watch("c");
    await settle();
    let reads = 0;
    server.read = async () => {
      reads += 1;
      return [message("a1", "q1", { state: "writing", text: "all of it" })];
    };
    line.tellOf("message", message("a9", "q1", { text: "all" }));
    line.tellOf("delta", { id: "a9", kind: "text", at: 7, text: "it", tokens: 0 });
    await settle();
    expect(reads).toBe(1);
  });

  describe("while it is read for the first time", () => {
    const joined = { conversation: "c", version: 1, head: "a1", queue: [], live: [] };
    const waits = { id: "w", text: "later", attachments: [], models: [], created_at: 0 };
    let asked: number;
    let answer: (told: ConversationBody) => void;

    beforeEach(() => {
      asked = 0;
      server.open = () => {
        asked += 1;
        return new Promise((done) => (answer = done));
      };
      chats.watch("c");
    });
    const read = (version: number) =>
      body([question("q1", null), message("a1", "q1", { state: "done" })], "a1", version);

    it("is asked for once, and what was told meanwhile is not lost", async () => {
      const live = message("a2", "q1", { text: "so far" });
      line.tellOf("joined", { ...joined, queue: [waits], live: [live] });
      answer(read(1));
      await settle();
      expect(asked).toBe(1);
      expect(shown()?.queue).toEqual([waits]);
      expect(shown()?.live).toEqual(["a2"]);
    });

    it("is asked for again where the answer is older than what was told", async () => {
      line.tellOf("joined", { ...joined, version: 2 });
      answer(read(1));
      await settle();
      expect(asked).toBe(2);
      answer(read(2));
      await settle();
      expect(asked).toBe(2);
    });

    it("is asked for again when something happened in it", async () => {
      line.tellOf("joined", joined);
      line.tellOf("queue", { conversation: "c", queue: [waits] });
      answer(read(1));
      await settle();
      expect(asked).toBe(2);
      answer({ ...read(2), queue: [waits] });
      await settle();
      expect(shown()?.queue).toEqual([waits]);
      expect(asked).toBe(2);
    });
  });

  it("learns on joining that a reply ended while nobody listened", async () => {
    const live = message("a1", "q1", { text: "half" });
    server.open = async () => body([question("q1", null), live], "a1");
    chats.watch("c");
    await settle();
    expect(shown()?.live).toEqual(["a1"]);
    server.open = async () => body([question("q1", null)], "a1", 9);
    server.read = async () => [message("a1", "q1", { state: "interrupted", text: "half" })];
    line.tellOf("joined", { conversation: "c", version: 9, head: "a1", queue: [], live: [] });
    await settle();
    await settle();
    expect(chats.shelf.get("a1")?.state).toBe("interrupted");
    expect(shown()?.live).toEqual([]);
  });

  it("goes back to the branch of the server when a step to another failed", async () => {
    server.open = async () =>
      body([question("q1", null), message("a1", "q1"), message("a2", "q1")], "a2");
    chats.watch("c");
    await settle();
    server.change = async () => {
      throw new ApiError(failure("offline"));
    };
    const stepped = acts.show("c", "a1");
    expect(shown()?.path).toEqual(["q1", "a1"]);
    expect(await stepped).toBe(false);
    expect(shown()?.path).toEqual(["q1", "a2"]);
  });

  it("reads a conversation that came back, and listens to it again", async () => {
    chats.watch("c");
    await settle();
    const before = { ...body([], null).summary, deleted: true };
    line.tellOf("summary", before);
    expect(shown()?.state).toBe("gone");
    line.watched = null; // let go of, as the server knew of no such conversation
    line.tellOf("summary", { ...before, deleted: false });
    await settle();
    expect(shown()?.state).toBe("here");
    expect(line.watched).toBe("c");
  });

  it("asks for replies without names, also of the same question in other words", async () => {
    server.open = async () =>
      body([question("q1", null), message("a1", "q1", { asked: { blind: true } })], "a1");
    const both = { models: ["one", "two"], sampling: {} };
    chats.watch("c");
    await settle();
    acts.send("c", { text: "who?", attachments: [], blind: true }, both);
    acts.send("c", { text: "alone", attachments: [], blind: true }, HOW);
    acts.send("c", { text: "named", attachments: [] }, both);
    await acts.instead("c", question("q1", null), "other words", both);
    await settle();
    expect(said.map(({ text, blind }) => [text, blind])).toEqual([
      ["who?", true],
      ["alone", undefined],
      ["named", undefined],
      ["other words", true],
    ]);
  });

  it("says that a conversation is gone whose name was used up", async () => {
    server.create = async () => {
      throw new ApiError(failure("gone"));
    };
    const id = acts.send(null, { text: "kept", attachments: [] }, HOW);
    await settle();
    expect(chats.get(id)?.state).toBe("gone");
    expect(chats.get(id)?.sending.map((one) => one.body.text)).toEqual(["kept"]);
  });

  it("shows nothing twice where a queue is told late", async () => {
    server.rewrite = async () => [
      { id: "q1", text: "asked by now", attachments: [], models: [], created_at: 0 },
    ];
    chats.watch("c");
    await settle();
    await acts.rewrite("c", "q1", "asked by now");
    expect(shown()?.queue).toEqual([]);
  });

  it("gives up what nobody can answer, and asks again for the rest", async () => {
    const kinds = ["offline", "gone"] as const;
    let asked = 0;
    server.read = async () => {
      throw new ApiError(failure(kinds[asked++] ?? "server"));
    };
    chats.watch("c");
    await settle();
    chats.want(["a9"]);
    await settle();
    expect(asked).toBe(2);
  });

  it("sends in order, and nothing before what did not go out", async () => {
    const conversation = acts.send(null, { text: "one", attachments: [] }, HOW);
    server.send = async () => {
      throw new ApiError(failure("offline"));
    };
    acts.send(conversation, { text: "two", attachments: [] }, HOW);
    await settle();
    expect(said).toEqual([]);
    const state = chats.get(conversation);
    expect(state?.sending.map((one) => one.failure?.kind ?? null)).toEqual(["offline", null]);
    server.send = async (_: string, sent: SendBody) => {
      said.push(sent);
      return { id: sent.id, state: "queued", replies: [], version: 2 };
    };
    acts.resend(conversation);
    await settle();
    expect(said.map((one) => one.text)).toEqual(["one", "two"]);
    expect(chats.get(conversation)?.sending).toEqual([]);
    expect(chats.get(conversation)?.queue.map((item) => item.text)).toEqual(["one", "two"]);
  });

  it("keeps what did not go out through a reload", async () => {
    server.send = async () => {
      throw new ApiError(failure("offline"));
    };
    chats.watch("c");
    await settle();
    acts.send("c", { text: "not lost", attachments: [] }, HOW);
    await settle();
    const kept = new Outbox(keptIn(storage)).read("c");
    expect(kept.map((one) => one.body.text)).toEqual(["not lost"]);
    // The server had it after all: it is known by its id, and not shown twice.
    const id = kept[0]?.body.id ?? "";
    chats.absorb(body([question(id, null, "not lost")], id, 7));
    expect(shown()?.sending).toEqual([]);
    expect(new Outbox(keptIn(storage)).read("c")).toEqual([]);
  });

  it("sends what did not go out when the server is there again", async () => {
    chats.watch("c");
    await settle();
    const { send } = server;
    server.send = async () => {
      throw new ApiError(failure("offline"));
    };
    acts.send("c", { text: "patient", attachments: [] }, HOW);
    await settle();
    expect(shown()?.sending[0]?.failure?.kind).toBe("offline");
    if (send) server.send = send;
    line.open();
    await settle();
    expect(said.map((one) => one.text)).toEqual(["patient"]);
    expect(shown()?.sending).toEqual([]);
  });

  it("says what failed at what, and forgets it with the next act", async () => {
    chats.watch("c");
    await settle();
    server.remove = async () => {
      throw new ApiError(failure("server", "It broke."));
    };
    expect(await acts.remove("c", "a1")).toBe(false);
    expect(shown()?.trouble).toEqual({ on: "a1", failure: failure("server", "It broke.") });
    server.stop = async () => [];
    await acts.stop("c", null);
    expect(shown()?.trouble).toBeNull();
  });

  it("says that a conversation is gone, and that it cannot be read", async () => {
    server.open = async () => {
      throw new ApiError(failure("gone"));
    };
    await chats.read("c");
    expect(shown()?.state).toBe("gone");
    server.open = async () => {
      throw new ApiError(failure("server"));
    };
    await chats.read("other");
    expect(chats.get("other")?.state).toBe("failed");
  });
});

describe("what is typed", () => {
  it("is kept for each conversation, and while storage is closed as long as the page", () => {
    const storage = new MemoryStorage();
    const drafts = new Drafts(keptIn(storage), keptIn(new MemoryStorage()));
    drafts.write(null, "new");
    drafts.write("c", "here");
    expect([drafts.read(null), drafts.read("c"), drafts.read("d")]).toEqual(["new", "here", ""]);
    drafts.write("c", "");
    expect(storage.kept.size).toBe(1);
    const nowhere = () => {
      throw new DOMException("closed", "SecurityError");
    };
    const closed = new Drafts(new Kept(nowhere), new Kept(nowhere));
    closed.write(null, "typed");
    expect(closed.read(null)).toBe("typed");
  });

  describe("in two tabs", () => {
    const open = (storage: MemoryStorage, tab: MemoryStorage) =>
      new Drafts(keptIn(storage), keptIn(tab));
    const [tabA, tabB] = [new MemoryStorage(), new MemoryStorage()];
    let storage: MemoryStorage;

    beforeEach(() => {
      storage = new MemoryStorage();
      for (const tab of [tabA, tabB]) tab.kept.clear();
      open(storage, tabA).write("c", "of a");
      open(storage, tabB).write("c", "of b");
    });

    it("stays what it is in each, through a reload and when the other sends", () => {
      expect(open(storage, tabA).read("c")).toBe("of a");
      open(storage, tabA).write("c", "");
      expect(open(storage, tabB).read("c")).toBe("of b");
      expect(open(storage, new MemoryStorage()).read("c")).toBe("of b");
    });

    it("is taken over from a tab that was closed, and gone once it was sent", () => {
      const later = new MemoryStorage();
      expect(open(storage, later).read("c")).toBe("of b");
      open(storage, later).write("c", "");
      expect(open(storage, later).read("c")).toBe("");
    });
  });

  it("and sent in two tabs is kept side by side until it has arrived", () => {
    const storage = new MemoryStorage();
    const [a, b] = [new Outbox(keptIn(storage)), new Outbox(keptIn(storage))];
    const sending = (id: string) => ({
      body: { id, text: id },
      attachments: [],
      queues: false,
      failure: null,
    });
    a.write("c", [sending("of a")]);
    b.write("c", [sending("of b")]);
    b.write("c", []);
    const ids = () => new Outbox(keptIn(storage)).read("c").map(({ body }) => body.id);
    expect(ids()).toEqual(["of a"]);
    a.write("c", []);
    expect(storage.kept.size).toBe(0);
  });
});

it("measures from the first piece to the last", () => {
  const usage = { prompt: 3, cached: 0, completion: 11 };
  expect(tokensPerSecond({ usage, first_after: 1, took: 3 })).toBe(5);
  expect(tokensPerSecond({ usage, first_after: 1, took: 1 })).toBeNull();
  expect(tokensPerSecond({ usage: null, first_after: 1, took: 3 })).toBeNull();
});
