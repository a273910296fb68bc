import type { Message } from "./types";

/**
 * Tokens per second from the first piece to the last, as the server measured it.
 *
 * The first piece starts the clock, so its token is not counted. Null when there is too little to
 * measure: fewer than eight tokens, or a reply that came at once.
 */
export function tokensPerSecond(reply: Pick<Message, "usage" | "first_after" | "took">) {
  if (!reply.usage || reply.first_after === null || reply.took === null) return null;
  const seconds = reply.took - reply.first_after;
  if (reply.usage.completion < 8 || seconds < 0.02) return null;
  return (reply.usage.completion - 1) / seconds;
}
