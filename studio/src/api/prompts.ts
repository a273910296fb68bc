import { call, callJson, type Connection } from "./client";
import { ApiError, errorBody, failure, kindOf } from "./errors";
import type { Shape } from "./shapes";
import { readEvents } from "./sse";

export type PromptSummary = Shape<"PromptSummary">;
export type PromptShown = Shape<"PromptShown">;
export type PromptVersion = Shape<"PromptVersion">;
export type PromptAnswer = Shape<"PromptAnswer">;
export type PromptDifference = Shape<"PromptDifference">;
export type TechniqueShown = Shape<"TechniqueShown">;
export type TechniqueList = Shape<"TechniqueList">;
export type RunEvent = Shape<"RunEvent">;
export type RunBody = Shape<"RunPrompt">;

const PROMPTS = "/studio/api/prompts";
const at = (id: string) => `${PROMPTS}/${encodeURIComponent(id)}`;
const within = (signal?: AbortSignal) => (signal ? { signal } : {});

export async function listPrompts(to: Connection, signal: AbortSignal): Promise<PromptSummary[]> {
  return (await callJson<Shape<"PromptList">>(to, PROMPTS, { signal })).data;
}

export async function readPrompt(
  to: Connection,
  id: string,
  signal?: AbortSignal,
): Promise<PromptShown> {
  return callJson<PromptShown>(to, at(id), within(signal));
}

export async function makePrompt(to: Connection, body: Shape<"NewPrompt">): Promise<PromptShown> {
  return callJson<PromptShown>(to, PROMPTS, { method: "POST", body });
}

export async function writeVersion(
  to: Connection,
  id: string,
  body: Shape<"NewVersion">,
): Promise<PromptShown> {
  return callJson<PromptShown>(to, `${at(id)}/versions`, { method: "POST", body });
}

export async function renamePrompt(to: Connection, id: string, name: string): Promise<PromptShown> {
  return callJson<PromptShown>(to, at(id), { method: "PATCH", body: { name } });
}

/** Deletes a prompt; for ten minutes it can be brought back. */
export async function removePrompt(to: Connection, id: string): Promise<void> {
  await call(to, at(id), { method: "DELETE" });
}

export async function restorePrompt(to: Connection, id: string): Promise<PromptShown> {
  return callJson<PromptShown>(to, `${at(id)}/restore`, { method: "POST", body: {} });
}

export async function comparePrompt(
  to: Connection,
  id: string,
  versions: { old: number; new: number },
  signal: AbortSignal,
): Promise<PromptDifference> {
  const query = `old=${versions.old}&new=${versions.new}`;
  return callJson<PromptDifference>(to, `${at(id)}/diff?${query}`, { signal });
}

/** Answers of a prompt, newest first; of one version, or those before an answer. */
export async function listAnswers(
  to: Connection,
  id: string,
  some: { version?: number | null; before?: number | null; limit: number },
  signal: AbortSignal,
): Promise<PromptAnswer[]> {
  const query = new URLSearchParams({ limit: String(some.limit) });
  if (some.version) query.set("version", String(some.version));
  if (some.before) query.set("before", String(some.before));
  const list = await callJson<Shape<"PromptAnswerList">>(to, `${at(id)}/answers?${query}`, {
    signal,
  });
  return list.data;
}

export async function listTechniques(to: Connection, signal: AbortSignal): Promise<TechniqueList> {
  return callJson<TechniqueList>(to, "/studio/api/techniques", { signal });
}

/** Asks a model with a prompt; fails with `ApiError`, also where it breaks off. */
export async function* runPrompt(
  to: Connection,
  body: Partial<RunBody>,
  signal: AbortSignal,
): AsyncGenerator<RunEvent> {
  const response = await call(to, `${PROMPTS}/run`, {
    method: "POST",
    body,
    headers: { Accept: "text/event-stream" },
    signal,
  });
  if (!response.body) throw new ApiError(failure("unreadable"));
  for await (const { data } of readEvents(response.body)) {
    const event = JSON.parse(data) as RunEvent;
    if (event.type === "error") {
      const { code, message } = errorBody(event);
      throw new ApiError(failure(kindOf(0, code), message));
    }
    yield event;
    if (event.type === "end") return;
  }
  throw new ApiError(failure("broken"));
}
