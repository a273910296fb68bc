import { call, type Connection } from "./client";
import { ApiError, errorBody, failure, kindOf } from "./errors";
import type { ChatBody, Chunk } from "./models";
import { readEvents, type ServerEvent } from "./sse";

export type Stage = "queued" | "loading" | "reading";

export interface Usage {
  prompt: number;
  completion: number;
  cached: number;
}

/** What a reply's stream says, in this page's own words. */
export type ChatEvent =
  | { type: "progress"; stage: Stage; done: number; total: number | null }
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  | { type: "finish"; reason: string }
  | { type: "usage"; usage: Usage }
  | { type: "end" };

/**
 * Asks for a reply and gives it piece by piece.
 *
 * Progress is asked for by a header, because clients of OpenAI's shapes know no such events. Fails
 * with `ApiError`; a stream that ends before the reply is finished is one of kind "broken".
 */
export async function* streamChat(
  to: Connection,
  body: ChatBody,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent> {
  const response = await call(to, "/v1/chat/completions", {
    method: "POST",
    body: { ...body, stream: true, stream_options: { include_usage: true } },
    headers: { Accept: "text/event-stream", "X-Kataribe-Events": "progress" },
    signal,
  });
  const kind = response.headers.get("Content-Type") ?? "";
  if (!response.body || !kind.startsWith("text/event-stream")) {
    await response.body?.cancel();
    throw new ApiError(failure("unreadable"));
  }
  let finished = false;
  try {
    for await (const event of readEvents(response.body)) {
      for (const said of interpret(event)) {
        if (said.type === "finish") finished = true;
        yield said;
        if (said.type === "end") return;
      }
    }
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    if (!finished) throw new ApiError(failure("broken"));
  }
  if (!finished) throw new ApiError(failure("broken"));
  yield { type: "end" };
}

/** What one server-sent event means; unknown events mean nothing and are passed over. */
export function interpret(event: ServerEvent): ChatEvent[] {
  if (event.event === "kataribe.progress") return progress(parse(event.data));
  if (event.event !== "message" && event.event !== "error") return [];
  if (event.data === "[DONE]") return [{ type: "end" }];
  const chunk = parse(event.data);
  if ("error" in chunk) {
    const { code, message } = errorBody(chunk);
    throw new ApiError(failure(kindOf(0, code), message));
  }
  return fromChunk(chunk as Partial<Chunk>);
}

function fromChunk(chunk: Partial<Chunk>): ChatEvent[] {
  const found: ChatEvent[] = [];
  const choice = chunk.choices?.[0];
  const thought = choice?.delta?.reasoning_content;
  if (thought) found.push({ type: "reasoning", text: thought });
  if (choice?.delta?.content) found.push({ type: "text", text: choice.delta.content });
  if (choice?.finish_reason)
    found.push({ type: "finish", reason: choice.finish_detail?.reason ?? choice.finish_reason });
  if (chunk.usage) {
    found.push({
      type: "usage",
      usage: {
        prompt: chunk.usage.prompt_tokens,
        completion: chunk.usage.completion_tokens,
        cached: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0,
      },
    });
  }
  return found;
}

function parse(data: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // said below, together with JSON that is no object
  }
  throw new ApiError(failure("unreadable"));
}

function progress(value: Record<string, unknown>): ChatEvent[] {
  const { stage, done, total } = value;
  if (stage !== "queued" && stage !== "loading" && stage !== "reading") return [];
  if (typeof done !== "number") return [];
  return [{ type: "progress", stage, done, total: typeof total === "number" ? total : null }];
}
