import { interpret, streamChat, type ChatEvent } from "../api/chat";
import { call, type Connection } from "../api/client";
import { ApiError, failure } from "../api/errors";
import { readEvents, type ServerEvent } from "../api/sse";

const MOST_TOKENS = 512;

/** Tokens of a taste: at most half of the context, for the question needs room too. */
export function tokensOfTaste(context: number | null): number {
  if (context === null) return MOST_TOKENS;
  return Math.max(1, Math.min(MOST_TOKENS, Math.floor(context / 2)));
}

export interface Taste {
  model: string;
  prompt: string;
  /** Whether it converses; otherwise it continues the text. */
  chats: boolean;
  maxTokens: number;
}

/**
 * Asks a model for a short reply, piece by piece, with its own ways of drawing.
 *
 * Fails with `ApiError` as `streamChat` does.
 */
export async function* ask(
  to: Connection,
  { model, prompt, chats, maxTokens }: Taste,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent> {
  if (chats) {
    const messages = [{ role: "user" as const, content: prompt }];
    yield* streamChat(to, { model, messages, max_tokens: maxTokens }, signal);
    return;
  }
  const response = await call(to, "/v1/completions", {
    method: "POST",
    body: {
      model,
      prompt,
      max_tokens: maxTokens,
      stream: true,
      stream_options: { include_usage: true },
    },
    headers: { Accept: "text/event-stream", "X-Kataribe-Events": "progress" },
    signal,
  });
  if (!response.body) throw new ApiError(failure("unreadable"));
  let finished = false;
  for await (const event of readEvents(response.body)) {
    for (const said of meaning(event)) {
      finished ||= said.type === "finish";
      yield said;
      if (said.type === "end") return;
    }
  }
  if (!finished) throw new ApiError(failure("broken"));
}

/** A completion's chunks have their words elsewhere; all else is said as in a chat. */
export function meaning(event: ServerEvent): ChatEvent[] {
  const rest = interpret(event);
  if (event.event !== "message" || event.data === "[DONE]") return rest;
  const chunk = JSON.parse(event.data) as { choices?: { text?: unknown }[] };
  const words = chunk.choices?.[0]?.text;
  return typeof words === "string" && words !== ""
    ? [{ type: "text", text: words }, ...rest]
    : rest;
}
