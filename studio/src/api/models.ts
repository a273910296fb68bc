import { callJson, type Connection } from "./client";
import type { Shape } from "./shapes";

export type Model = Shape<"Model">;
export type ChatBody = Shape<"ChatCompletionRequest">;
export type Chunk = Shape<"ChatCompletionChunk">;

/** One turn as a model is given it. */
export interface ChatMessage {
  role: "user" | "assistant";
  content: string;
}

/** Every model that this server can answer with. */
export async function listModels(to: Connection, signal?: AbortSignal): Promise<Model[]> {
  const list = await callJson<Shape<"ModelList">>(to, "/v1/models", signal ? { signal } : {});
  return list.data;
}

/** Whether it continues text; a server that does not say has no others. */
export function writes(model: Pick<Model, "use">): boolean {
  return (model.use ?? "write") === "write";
}

/** The small model that comes first, which speaks English only. */
export function isSmallDefault(model: string): boolean {
  return model.toLowerCase().startsWith("smollm2-135m");
}

/** The model that is offered to people who write Japanese. */
export const BIGGER_MODEL = "qwen2.5-coder-1.5b";
export const DEFAULT_MODEL = "smollm2-135m";

/**
 * Which model answers: the first of `wishes` that exists, else one in memory, else the default,
 * else the first.
 */
export function pickModel(
  models: readonly Model[],
  wishes: readonly (string | null)[],
): string | null {
  const named = (name: string | null) => models.find((model) => model.id === name);
  const found = wishes.map(named).find((model) => model !== undefined);
  const loaded = models.find((model) => model.loaded);
  return (found ?? loaded ?? named(DEFAULT_MODEL) ?? models[0])?.id ?? null;
}
