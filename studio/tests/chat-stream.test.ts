import { describe, expect, it } from "vitest";

import { interpret, streamChat, type ChatEvent } from "../src/api/chat";
import { ApiError, type ErrorKind } from "../src/api/errors";
import { steadyNow } from "../src/conversation/clock";

const BODY = { model: "m", messages: [{ role: "user" as const, content: "hi" }] };

function chunk(delta: object, more: object = {}, usage: object | null = null): string {
  const choices = [{ index: 0, delta, finish_reason: null, ...more }];
  return `data: ${JSON.stringify({ choices, usage })}\n\n`;
}

function answer(parts: string[], init: ResponseInit = {}): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" }, ...init });
}

async function run(response: Response | Error): Promise<{ events: ChatEvent[]; kind?: ErrorKind }> {
  const events: ChatEvent[] = [];
  const fetch = () =>
    response instanceof Error ? Promise.reject(response) : Promise.resolve(response);
  try {
    const to = { key: null, fetch };
    for await (const event of streamChat(to, BODY, new AbortController().signal))
      events.push(event);
    return { events };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { events, kind: error.failure.kind };
  }
}

describe("streamChat", () => {
  it("gives progress, words, the reason and the usage in order", async () => {
    const { events } = await run(
      answer([
        'event: kataribe.progress\ndata: {"stage":"reading","done":512,"total":1000}\n\n',
        chunk({ role: "assistant", content: "" }),
        chunk({ reasoning_content: "hm" }),
        chunk({ content: "東" }),
        chunk({ content: "京" }, { finish_reason: "stop" }),
        `data: ${JSON.stringify({
          choices: [],
          usage: {
            prompt_tokens: 9,
            completion_tokens: 2,
            total_tokens: 11,
            prompt_tokens_details: { cached_tokens: 4 },
          },
        })}\n\n`,
        "data: [DONE]\n\n",
      ]),
    );
    expect(events).toEqual([
      { type: "progress", stage: "reading", done: 512, total: 1000 },
      { type: "reasoning", text: "hm" },
      { type: "text", text: "東" },
      { type: "text", text: "京" },
      { type: "finish", reason: "stop" },
      { type: "usage", usage: { prompt: 9, completion: 2, cached: 4 } },
      { type: "end" },
    ]);
  });

  it("tells the exact reason where the server says more than OpenAI's four", () => {
    const data = chunk(
      {},
      { finish_reason: "length", finish_detail: { reason: "repetition", detail: "loop" } },
    );
    expect(interpret({ event: "message", data: data.slice(6).trim() })).toEqual([
      { type: "finish", reason: "repetition" },
    ]);
  });

  it("asks for progress, usage and a stream, and sends the key", async () => {
    let seen: RequestInit | undefined;
    const fetch = (_: unknown, init?: RequestInit) => {
      seen = init;
      return Promise.resolve(answer([chunk({}, { finish_reason: "stop" }), "data: [DONE]\n\n"]));
    };
    const to = { key: "secret-key", fetch };
    for await (const event of streamChat(to, BODY, new AbortController().signal)) void event;
    expect(seen?.headers).toMatchObject({
      Authorization: "Bearer secret-key",
      "X-Kataribe-Events": "progress",
    });
    expect(JSON.parse(String(seen?.body))).toEqual({
      ...BODY,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it("calls a stream that ends early broken, and keeps what came", async () => {
    const { events, kind } = await run(answer([chunk({ content: "half" })]));
    expect(events).toEqual([{ type: "text", text: "half" }]);
    expect(kind).toBe("broken");
  });

  it("calls a reply whole whose connection breaks only after its end", async () => {
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulls += 1;
        if (pulls > 1) return controller.error(new TypeError("network error"));
        controller.enqueue(
          new TextEncoder().encode(chunk({ content: "all" }, { finish_reason: "stop" })),
        );
      },
    });
    const { events, kind } = await run(
      new Response(body, { headers: { "Content-Type": "text/event-stream" } }),
    );
    expect(kind).toBeUndefined();
    expect(events.map((event) => event.type)).toEqual(["text", "finish", "end"]);
  });

  it("takes an error inside the stream as what its code says", async () => {
    const error = { error: { message: "wait", type: "x", code: "queue_full", param: null } };
    const { kind } = await run(
      answer([chunk({ content: "a" }), `data: ${JSON.stringify(error)}\n\n`]),
    );
    expect(kind).toBe("busy");
  });

  it.each([
    ["no answer", new TypeError("failed"), "offline"],
    ["a page instead", new Response("<html>"), "unreadable"],
    ["broken JSON", answer(["data: {oops\n\n"]), "unreadable"],
    ["JSON that is no object", answer(["data: 7\n\n"]), "unreadable"],
  ] as const)("%s", async (_, response, kind) => {
    expect((await run(response)).kind).toBe(kind);
  });

  it.each([
    [401, "invalid_api_key", "key"],
    [429, "queue_full", "busy"],
    [503, "unavailable", "unavailable"],
    [400, "context_length_exceeded", "context"],
    [400, "invalid_value", "refused"],
    [404, "model_not_found", "model"],
    [404, "not_found", "gone"],
    [500, "internal_error", "server"],
    [502, "provider_error", "server"],
    [413, "", "refused"],
  ] as const)("status %i with code %j is of kind %s", async (status, code, kind) => {
    const body = JSON.stringify({ error: { message: "m", type: "t", code, param: null } });
    expect((await run(new Response(body, { status }))).kind).toBe(kind);
  });

  it("reads when to try again", async () => {
    const response = new Response("{}", { status: 429, headers: { "Retry-After": "7" } });
    const before = steadyNow();
    const to = { key: null, fetch: () => Promise.resolve(response) };
    const stream = streamChat(to, BODY, new AbortController().signal);
    const error = await stream.next().then(
      () => null,
      (error: unknown) => error,
    );
    const retryAt = error instanceof ApiError ? error.failure.retryAt : null;
    expect(retryAt).toBeGreaterThanOrEqual(before + 7000);
    expect(retryAt).toBeLessThan(before + 60_000);
  });
});
