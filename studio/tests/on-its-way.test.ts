import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { ConversationApi } from "../src/api/conversations";
import { ApiError } from "../src/api/errors";
import { EventLine } from "../src/api/events";
import { Acts } from "../src/conversation/acts";
import { Chats } from "../src/conversation/chats";
import { blank } from "../src/conversation/shown";
import { Kept, Outbox } from "../src/conversation/store";

const HOW = { models: ["m"], sampling: {} };
const NEVER: typeof fetch = (_, what) =>
  new Promise((_, fail) => {
    what?.signal?.addEventListener("abort", () => fail(what.signal?.reason as Error));
  });

/** What the server answers; it is told to take and say nothing, or to take and confirm. */
class Server {
  readonly took: string[] = [];
  readonly ended: string[] = [];
  answers = false;

  readonly fetch: typeof fetch = async (path, what) => {
    const { id = "", ids } = JSON.parse(String(what?.body)) as { id?: string; ids?: string[] };
    if (ids) return NEVER(path, what); // reading what was answered
    this.took.push(id);
    what?.signal?.addEventListener("abort", () => this.ended.push(id));
    if (!this.answers) return NEVER(path, what);
    return new Response(JSON.stringify({ id, state: "queued", replies: [], version: 1 }));
  };
}

function closed(): Storage {
  throw new DOMException("closed", "SecurityError");
}

describe("a server that takes a message and answers nothing", () => {
  let server: Server;
  let chats: Chats;
  let acts: Acts;

  beforeEach(() => {
    vi.useFakeTimers();
    server = new Server();
    const to = () => ({ key: null, fetch: server.fetch });
    const kept = new Kept(closed);
    let id = 0;
    chats = new Chats(
      new ConversationApi(to),
      new EventLine(to, { visible: () => false, after: () => () => undefined }),
      new Outbox(kept),
      { newId: () => `m${(id += 1)}`, soon: (run) => run(), after: () => undefined },
    );
    acts = new Acts(chats);
    chats.put(blank("c", "here"));
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const say = (text: string) => acts.send("c", { text, attachments: [] }, HOW);
  const sending = () =>
    chats.get("c")?.sending.map(({ body, failure }) => [body.id, failure?.kind ?? null]);

  it.each(["create", "send"] as const)("is waited for a minute: %s", async (what) => {
    const api = new ConversationApi(() => ({ key: null, fetch: NEVER }));
    let said: unknown = null;
    const body = { id: "m", text: "Hi" };
    const call = what === "create" ? api.create("c", null) : api.send("c", body);
    call.catch((error: unknown) => (said = error));
    await vi.advanceTimersByTimeAsync(59_999);
    expect(said).toBeNull();
    await vi.advanceTimersByTimeAsync(1);
    expect(said instanceof ApiError && said.failure.kind).toBe("offline");
  });

  it("leaves the message, which counts as not gone out, with the seconds that it took", async () => {
    say("one");
    await vi.advanceTimersByTimeAsync(5000);
    expect(acts.waited("m1")).toBe(5000);
    await vi.advanceTimersByTimeAsync(55_000);
    expect(sending()).toEqual([["m1", "offline"]]);
    expect(acts.waited("m1")).toBe(0);
  });

  it("keeps no message that is taken back, and what was said after it goes out", async () => {
    say("one");
    say("two");
    await vi.advanceTimersByTimeAsync(3000);
    expect([server.took, acts.waited("m2")]).toEqual([["m1"], 0]);
    server.answers = true;
    expect(acts.discard("c", "m1")?.body.text).toBe("one");
    expect(server.ended).toEqual(["m1"]);
    await vi.advanceTimersByTimeAsync(0);
    expect(server.took).toEqual(["m1", "m2"]);
    expect(sending()).toEqual([]);
    expect(chats.get("c")?.queue.map((item) => item.id)).toEqual(["m2"]);
    expect(chats.get("c")?.trouble).toBeNull();
  });

  it("takes back nothing that has arrived", async () => {
    const replied = { id: "m1", state: "sent", replies: ["r"], version: 1 };
    server.answers = true;
    const { fetch } = server;
    Object.assign(server, {
      fetch: async (path: string, what: RequestInit) =>
        path.endsWith("/messages") ? new Response(JSON.stringify(replied)) : fetch(path, what),
    });
    say("one"); // what became of it is being read
    await vi.advanceTimersByTimeAsync(3000);
    expect(sending()).toEqual([["m1", null]]);
    expect(acts.discard("c", "m1")).toBeNull();
    expect(sending()).toEqual([["m1", null]]);
    expect(acts.waited("m1")).toBe(0);
    say("two");
    await vi.advanceTimersByTimeAsync(57_000); // nobody says what became of it
    expect(sending()).toEqual([["m2", null]]);
  });
});
