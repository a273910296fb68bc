import { beforeEach, describe, expect, it } from "vitest";

import { EventLine, type LineState } from "../src/api/events";

/** One request for the server's news, answered as the test says. */
class Asked {
  ended = false;
  private answer: (response: Response) => void = () => undefined;
  private body: ReadableStreamDefaultController<Uint8Array> | null = null;
  readonly response = new Promise<Response>((done) => (this.answer = done));

  constructor(
    readonly path: string,
    signal: AbortSignal,
  ) {
    signal.addEventListener("abort", () => {
      this.ended = true;
      this.body?.error(new DOMException("aborted", "AbortError"));
      this.body = null;
    });
  }

  open(): void {
    const start = (body: ReadableStreamDefaultController<Uint8Array>) => {
      this.body = body;
    };
    this.answer(new Response(new ReadableStream({ start })));
  }

  refuse(status: number, code: string): void {
    this.answer(Response.json({ error: { code, message: code } }, { status }));
  }

  tell(event: string, data: unknown): void {
    this.body?.enqueue(
      new TextEncoder().encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
    );
  }

  close(): void {
    this.body?.close();
    this.body = null;
  }
}

const settle = () => new Promise((done) => setTimeout(done, 5));

describe("the line of the server's news", () => {
  let asked: Asked[];
  let line: EventLine;
  let states: LineState[];
  let told: string[];

  beforeEach(async () => {
    asked = [];
    states = [];
    told = [];
    const ask = (path: string, what: RequestInit) => {
      const one = new Asked(path, what.signal as AbortSignal);
      asked.push(one);
      return one.response;
    };
    const to = { key: null, fetch: ask as typeof fetch };
    line = new EventLine(() => to, { visible: () => true, after: () => () => undefined });
    line.onState(() => states.push(line.state));
    line.on("message", ({ id }) => told.push(`message ${id}`));
    line.on("summary", ({ id }) => told.push(`summary ${id}`));
    line.on("gone", ({ id }) => told.push(`gone ${id}`));
    line.start();
    asked[0]?.open();
    await settle();
    states.length = 0;
  });

  async function watch(conversation: string | null): Promise<Asked | undefined> {
    line.watch(conversation);
    await settle();
    return asked.at(-1);
  }

  it("turns to another conversation without a gap, and nobody hears of it", async () => {
    const first = asked[0];
    const second = await watch("b");
    expect(second?.path).toContain("conversation=b");
    expect(first?.ended).toBe(false);
    first?.tell("summary", { id: "x" });
    await settle();
    second?.open();
    await settle();
    expect(first?.ended).toBe(true);
    second?.tell("message", { id: "m" });
    await settle();
    expect(told).toEqual(["summary x", "message m"]);
    expect(states).toEqual([]);
  });

  it("takes no words of the conversation that was left", async () => {
    (await watch("a"))?.open();
    await settle();
    const left = asked.at(-1);
    const next = await watch("b");
    left?.tell("message", { id: "of a" });
    await settle();
    next?.open();
    next?.tell("message", { id: "of b" });
    await settle();
    expect(told).toEqual(["message of b"]);
  });

  it("asks once when a page gives way to another", async () => {
    (await watch("a"))?.open();
    await settle();
    const before = asked.length;
    line.watch(null);
    line.watch("b");
    await settle();
    expect(asked.length).toBe(before + 1);
    line.watch(null);
    line.watch("b");
    await settle();
    expect(asked.length).toBe(before + 1);
  });

  it("holds what is open while one turns quickly from page to page", async () => {
    const first = asked[0];
    const second = await watch("a");
    const third = await watch("b");
    expect([first?.ended, second?.ended, third?.ended]).toEqual([false, true, false]);
    third?.open();
    await settle();
    expect(first?.ended).toBe(true);
    expect(states).toEqual([]);
  });

  it("is lost when the next one does not open", async () => {
    const second = await watch("a");
    second?.refuse(500, "internal_error");
    await settle();
    expect(asked[0]?.ended).toBe(true);
    expect(states).toEqual(["lost"]);
  });

  it("goes on without a conversation that is gone", async () => {
    (await watch("a"))?.refuse(404, "not_found");
    await settle();
    expect(told).toEqual(["gone a"]);
    const after = asked.at(-1);
    expect(after?.path).not.toContain("conversation");
    after?.open();
    await settle();
    expect(line.state).toBe("open");
  });

  it("is lost when what is left ends and nothing else is open", async () => {
    (await watch("a"))?.open();
    await settle();
    asked.at(-1)?.close();
    await settle();
    expect(states).toEqual(["lost"]);
  });
});
