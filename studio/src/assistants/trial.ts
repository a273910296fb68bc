import type { TrialEvent, TrialMessage } from "../api/assistants";
import type { Stage } from "../api/chat";
import type { Failure } from "../api/errors";

export interface Call {
  id: string;
  name: string;
  arguments: string;
}

/** One reply of a trial, as it grows. */
export interface Answer {
  state: "asking" | "ended" | "stopped" | "failed";
  text: string;
  reasoning: string;
  steps: readonly { name: string; detail: string }[];
  /** Calls of tools; those of a reply that ended with `approval` wait for the person. */
  calls: readonly Call[];
  progress: { stage: Stage; done: number; total: number | null } | null;
  reason: string;
  tokens: number | null;
  failure: Failure | null;
}

export const FRESH: Answer = {
  state: "asking",
  text: "",
  reasoning: "",
  steps: [],
  calls: [],
  progress: null,
  reason: "",
  tokens: null,
  failure: null,
};

/** A question, or the person's word on calls that waited, and the reply to it. */
export interface Turn {
  question: string | null;
  /** Whether the calls before may run; null where nothing waited. */
  allowed: boolean | null;
  answer: Answer;
}

export function heard(answer: Answer, event: TrialEvent): Answer {
  switch (event.type) {
    case "text":
      return { ...answer, text: answer.text + event.text };
    case "reasoning":
      return { ...answer, reasoning: answer.reasoning + event.text };
    case "step":
      return { ...answer, steps: [...answer.steps, { name: event.name, detail: event.detail }] };
    case "call":
      return { ...answer, calls: called(answer.calls, event) };
    case "progress":
      return { ...answer, progress: event };
    case "finish":
      return { ...answer, reason: event.reason };
    case "usage":
      return { ...answer, tokens: event.usage.completion };
    case "end":
      return answer;
  }
}

function called(
  calls: readonly Call[],
  event: { index: number; id: string; name: string; arguments: string },
): Call[] {
  const next = [...calls];
  const before = next[event.index] ?? { id: "", name: "", arguments: "" };
  next[event.index] = {
    id: before.id || event.id,
    name: before.name || event.name,
    arguments: before.arguments + event.arguments,
  };
  return next;
}

/** Calls that wait for the person's word. */
export function waiting(answer: Answer | undefined): readonly Call[] {
  return answer?.state === "ended" && answer.reason === "approval" ? answer.calls : [];
}

/** The conversation as the server takes it. */
export function messagesOf(turns: readonly Turn[]): TrialMessage[] {
  const messages: TrialMessage[] = [];
  let pending: readonly Call[] = [];
  for (const { question, allowed, answer } of turns) {
    for (const { id } of pending)
      messages.push({ role: "tool", tool_call_id: id, content: word(allowed === true) });
    pending = [];
    if (question !== null) messages.push({ role: "user", content: question });
    if (answer.state === "asking") break;
    pending = waiting(answer);
    if (answer.text === "" && pending.length === 0) continue;
    messages.push({
      role: "assistant",
      content: answer.text === "" ? null : answer.text,
      ...(pending.length > 0
        ? {
            tool_calls: pending.map(({ id, name, arguments: args }) => ({
              id,
              type: "function" as const,
              function: { name, arguments: args },
            })),
          }
        : {}),
    });
  }
  return messages;
}

const word = (yes: boolean) => JSON.stringify({ approval: yes ? "yes" : "no" });
