import type { Shape } from "../api/shapes";
import { isLive, type Message } from "../conversation/types";

export type Step = Shape<"ReplyStep">;
export type Round = Shape<"ConsentRound">;
export type Call = Shape<"CallToAllow">;
export type Answer = Shape<"ConsentGiven">;

/** How a step stands. `cut`: the reply ended while it ran. */
export type StepState = "running" | "ok" | "failed" | "cut";

/** A step as the page shows it: a call together with what came of it. */
export interface ShownStep {
  /** Its place among the reply's steps. */
  key: number;
  step: Step;
  outcome: Step | null;
  state: StepState;
  /** Of a call: its tool. */
  tool: string | null;
  /** Of a call that needed consent: how it was answered. */
  answer: Answer | null;
  /** Seconds that a call took; null for other steps. */
  took: number | null;
  /** Tokens read and drawn for it; null where nobody says. */
  tokens: number | null;
}

const CALLS = new Set(["call", "action"]);
const FAILED = new Set(["failed", "refused", "repeated", "interrupted", "given up"]);
/** Steps that are told when they begin; the others are told when they are done. */
const BEGINS = new Set(["call", "action", "step", "think", "search", "task", "embedding"]);

/** The steps of a reply, in order, with calls and their results joined. */
export function arranged(reply: Pick<Message, "state" | "steps" | "consents">): ShownStep[] {
  const found: ShownStep[] = [];
  const calls = new Map<string, ShownStep>();
  let before = 0;
  reply.steps.forEach((step, key) => {
    const tokens = step.tokens > 0 ? Math.max(0, step.tokens - before) : 0;
    before = Math.max(before, step.tokens);
    const call = step.call === "" ? undefined : calls.get(step.call);
    if (call && call.outcome === null) {
      call.outcome = step;
      call.took = Math.max(0, step.at - call.step.at);
      call.state = isFailed(step) ? "failed" : "ok";
      return;
    }
    const shown: ShownStep = {
      key,
      step,
      outcome: null,
      state: isFailed(step) ? "failed" : "ok",
      tool: CALLS.has(step.name) || step.call !== "" ? toolOf(step) : null,
      answer: answerOf(reply.consents, step.call),
      took: null,
      tokens: tokens > 0 ? tokens : null,
    };
    found.push(shown);
    if (CALLS.has(step.name) && step.call !== "") calls.set(step.call, shown);
  });
  const live = isLive(reply) && waitingOf(reply).length === 0;
  found.forEach((shown, at) => {
    const last = at === found.length - 1;
    const isCall = CALLS.has(shown.step.name) && shown.step.call !== "";
    if (isCall && shown.outcome === null) shown.state = live ? "running" : "cut";
    else if (last && live && BEGINS.has(shown.step.name)) shown.state = "running";
  });
  return found;
}

function isFailed({ name, line }: Step): boolean {
  if (name === "checked") return / is not done: /.test(line);
  return FAILED.has(name) || (name === "observation" && line.startsWith("Error:"));
}

/** The tool of a call: the first word of its line, before a colon or a space. */
function toolOf({ line }: Step): string {
  return /^[^\s:]+/.exec(line)?.[0] ?? "";
}

function answerOf(rounds: readonly Round[], call: string): Answer | null {
  if (call === "") return null;
  for (const { answers } of rounds) {
    const found = answers[call];
    if (found) return found;
  }
  return null;
}

/** Calls that wait for the person; none where the reply has ended otherwise. */
export function waitingOf({ state, consents }: Pick<Message, "state" | "consents">): Call[] {
  const last = consents.at(-1);
  if (!last || !(isLive({ state }) || state === "interrupted")) return [];
  return last.calls.filter((call) => !last.answers[call.id]);
}

/** Whether a reply that the server's end cut off can go on where it was. */
export function canResume(reply: Pick<Message, "state" | "consents">): boolean {
  return (
    reply.state === "interrupted" && reply.consents.length > 0 && waitingOf(reply).length === 0
  );
}

/** Calls of a reply that ended before anybody answered. */
export function unanswered({ state, consents }: Pick<Message, "state" | "consents">): Call[] {
  const last = consents.at(-1);
  if (!last || isLive({ state }) || state === "interrupted") return [];
  return last.calls.filter((call) => !last.answers[call.id]);
}

/** What the one line says of steps that have ended. */
export interface Sum {
  steps: number;
  calls: number;
  failed: number;
  seconds: number;
}

export function summed(shown: readonly ShownStep[]): Sum {
  const times = shown.map(({ step, outcome }) => (outcome ?? step).at);
  const more = shown.find(({ step }) => step.name === "more")?.step.left ?? 0;
  const kept = shown.filter(({ step }) => step.name !== "more");
  return {
    steps: kept.length + more,
    calls: kept.filter(({ tool, step }) => tool !== null && CALLS.has(step.name)).length,
    failed: kept.filter(({ state }) => state === "failed").length,
    seconds: Math.max(0, ...times),
  };
}

/** Arguments as names and values; null where they are no JSON object. */
export function namedArguments(written: string): [string, string][] | null {
  try {
    const value: unknown = JSON.parse(written.trim() === "" ? "{}" : written);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return Object.entries(value).map(([name, one]) => [
      name,
      typeof one === "string" ? one : JSON.stringify(one, null, 1),
    ]);
  } catch {
    return null;
  }
}
