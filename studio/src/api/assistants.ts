import { interpret, type ChatEvent } from "./chat";
import { call, callJson, type Connection } from "./client";
import { ApiError, errorBody, failure, kindOf } from "./errors";
import type { Shape } from "./shapes";
import { readEvents, type ServerEvent } from "./sse";

export type AssistantShown = Shape<"AssistantShown">;
export type AssistantList = Shape<"AssistantList">;
export type AssistantDetail = Shape<"AssistantDetail">;
export type RecipeFields = Shape<"RecipeFields">;
export type RecipeProblem = Shape<"RecipeProblem">;
export type RecipeChecked = Shape<"RecipeChecked">;
export type RecipeChoices = Shape<"RecipeChoices">;
export type TestResult = Shape<"TestResult">;
export type TwoLanguages = Shape<"TwoLanguages">;
export type TrialMessage = Shape<"PreviewRecipe">["messages"][number];

const ASSISTANTS = "/studio/api/assistants";
const RECIPES = "/studio/api/recipes";
const at = (name: string) => `${ASSISTANTS}/${encodeURIComponent(name)}`;

export async function listAssistants(to: Connection, signal: AbortSignal): Promise<AssistantList> {
  return callJson<AssistantList>(to, ASSISTANTS, { signal });
}

export async function readAssistant(
  to: Connection,
  name: string,
  signal?: AbortSignal,
): Promise<AssistantDetail> {
  return callJson<AssistantDetail>(to, at(name), signal ? { signal } : {});
}

export async function readChoices(to: Connection, signal: AbortSignal): Promise<RecipeChoices> {
  return callJson<RecipeChoices>(to, `${RECIPES}/choices`, { signal });
}

/** A recipe that is not saved. */
export interface Unsaved {
  name: string;
  text: string;
}

/** All that is wrong with a recipe; with `fields` the text is made to say them first. */
export async function checkRecipe(
  to: Connection,
  recipe: Unsaved,
  fields: object | null,
  signal?: AbortSignal,
): Promise<RecipeChecked> {
  const body = fields === null ? recipe : { ...recipe, fields };
  const what = { method: "POST", body, ...(signal ? { signal } : {}) } as const;
  return callJson<RecipeChecked>(to, `${RECIPES}/check`, what);
}

/** Writes a recipe over the one with that tag; null where there must be none yet. */
export async function putAssistant(
  to: Connection,
  { name, text }: Unsaved,
  over: string | null,
): Promise<AssistantDetail> {
  const headers: Record<string, string> =
    over === null ? { "If-None-Match": "*" } : { "If-Match": `"${over}"` };
  return callJson<AssistantDetail>(to, at(name), { method: "PUT", body: { text }, headers });
}

/** Deletes an assistant of one's own; it can be brought back. */
export async function removeAssistant(to: Connection, name: string, over: string): Promise<void> {
  await call(to, at(name), { method: "DELETE", headers: { "If-Match": `"${over}"` } });
}

export async function restoreAssistant(to: Connection, name: string): Promise<AssistantDetail> {
  return callJson<AssistantDetail>(to, `${at(name)}/restore`, { method: "POST", body: {} });
}

/** What a trial tells beyond a reply: its steps, and calls of tools. */
export type TrialEvent =
  | ChatEvent
  | { type: "step"; name: string; detail: string }
  | { type: "call"; index: number; id: string; name: string; arguments: string };

/** Talks with a recipe that is not saved; fails with `ApiError` as a chat does. */
export async function* tryRecipe(
  to: Connection,
  recipe: Unsaved,
  messages: readonly TrialMessage[],
  signal: AbortSignal,
): AsyncGenerator<TrialEvent> {
  const response = await call(to, `${RECIPES}/preview`, {
    method: "POST",
    body: { ...recipe, messages },
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

interface CallDelta {
  index?: number;
  id?: string;
  function?: { name?: string; arguments?: string };
}

/** A chat's events, and what only assistants tell. */
export function meaning(event: ServerEvent): TrialEvent[] {
  if (event.event === "kataribe.step") {
    const { name, detail } = JSON.parse(event.data) as { name?: string; detail?: string };
    return [{ type: "step", name: name ?? "", detail: detail ?? "" }];
  }
  const rest: TrialEvent[] = interpret(event);
  if (event.event !== "message" || event.data === "[DONE]") return rest;
  const chunk = JSON.parse(event.data) as {
    choices?: { delta?: { tool_calls?: CallDelta[] | null } }[];
  };
  const calls = chunk.choices?.[0]?.delta?.tool_calls ?? [];
  const told = calls.map((one) => ({
    type: "call" as const,
    index: one.index ?? 0,
    id: one.id ?? "",
    name: one.function?.name ?? "",
    arguments: one.function?.arguments ?? "",
  }));
  return [...told, ...rest];
}

/** Runs a recipe's tests; each result comes as soon as it is known. */
export async function* testRecipe(
  to: Connection,
  recipe: Unsaved,
  signal: AbortSignal,
): AsyncGenerator<TestResult> {
  const response = await call(to, `${RECIPES}/test`, { method: "POST", body: recipe, signal });
  if (!response.body) throw new ApiError(failure("unreadable"));
  for await (const event of readEvents(response.body)) {
    if (event.data === "[DONE]") return;
    const value = JSON.parse(event.data) as object;
    if ("error" in value) {
      const { code, message } = errorBody(value);
      throw new ApiError(failure(kindOf(0, code), message));
    }
    yield value as TestResult;
  }
  throw new ApiError(failure("broken"));
}
