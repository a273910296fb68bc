import type { Message } from "../conversation/types";
import type { Catalogue } from "../i18n/catalogue";

/** Words for an ending that a person should know of; null for the usual one. */
export function ending(text: Catalogue, reply: Message): string | null {
  if (reply.state === "stopped") return text.finish.stopped;
  if (reply.state === "interrupted") return text.finish.interrupted;
  if (reply.state !== "done") return null;
  if (reply.finish === "stop" || reply.finish === null)
    return reply.text === "" && reply.reasoning === "" ? text.finish.empty : null;
  const known = KNOWN.find((reason) => reason === reply.finish);
  return known ? text.finish[known] : text.finish.other(reply.finish);
}

const KNOWN = [
  "length",
  "tool_calls",
  "approval",
  "content_filter",
  "repetition",
  "deadline",
  "budget",
  "cancelled",
  "error",
] as const;
