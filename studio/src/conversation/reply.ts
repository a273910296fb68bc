import type { ChatEvent } from "../api/chat";
import type { Failure } from "../api/errors";
import type { Id, Reply } from "./types";

/** What can happen to a reply: what its stream says, and what happens on this side. */
export type ReplyEvent =
  ChatEvent | { type: "stop" } | { type: "fail"; failure: Failure } | { type: "reload" };

export function newReply(id: Id, parent: Id, model: string, now: number): Reply {
  return {
    id,
    role: "assistant",
    parent,
    model,
    text: "",
    reasoning: "",
    state: "waiting",
    progress: null,
    finish: null,
    usage: null,
    failure: null,
    askedAt: now,
    firstAfter: null,
    lastAfter: null,
  };
}

export function isLive(reply: Reply): boolean {
  return reply.state === "waiting" || reply.state === "writing";
}

/** The reply after an event at `now`. A final reply never changes again. */
export function advance(reply: Reply, event: ReplyEvent, now: number): Reply {
  if (!isLive(reply)) return reply;
  switch (event.type) {
    case "progress":
      if (reply.state === "writing") return reply; // late news: the words are here already
      return {
        ...reply,
        progress: { stage: event.stage, done: event.done, total: event.total },
      };
    case "text":
      return { ...written(reply, now), text: reply.text + event.text };
    case "reasoning":
      return { ...written(reply, now), reasoning: reply.reasoning + event.text };
    case "finish":
      return { ...reply, finish: event.reason };
    case "usage":
      return { ...reply, usage: event.usage };
    case "end":
      return { ...reply, state: "done", progress: null };
    case "stop":
      return { ...reply, state: "stopped", progress: null };
    case "fail":
      return { ...reply, state: "failed", progress: null, failure: event.failure };
    case "reload":
      return { ...reply, state: "interrupted", progress: null };
  }
}

function written(reply: Reply, now: number): Reply {
  const after = now - reply.askedAt;
  return {
    ...reply,
    state: "writing",
    progress: null,
    firstAfter: reply.firstAfter ?? after,
    lastAfter: after,
  };
}

/**
 * Tokens per second from the first piece to the last, as this page measured it.
 *
 * The first piece starts the clock, so its token is not counted. Null when there is too little to
 * measure: fewer than eight tokens, or a reply that arrived at once.
 */
export function tokensPerSecond(reply: Reply): number | null {
  if (!reply.usage || reply.firstAfter === null || reply.lastAfter === null) return null;
  const seconds = (reply.lastAfter - reply.firstAfter) / 1000;
  if (reply.usage.completion < 8 || seconds < 0.02) return null;
  return (reply.usage.completion - 1) / seconds;
}
