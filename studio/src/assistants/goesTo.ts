import type { AssistantList, AssistantShown } from "../api/assistants";
import type { Model } from "../api/models";

/** Where what one writes goes, as far as the lists of models and assistants say. */
export interface GoesTo {
  /** Only models of the server's own machine are asked, and nothing that could send it on. */
  stays: boolean;
  /** The hosts that are asked, by the names that references have for them. */
  hosts: readonly string[];
}

/** The host of `HOST:MODEL`; null for a bare name, which is a model here or an assistant. */
export function hostOf(model: string): string | null {
  return /^([a-z][a-z0-9_-]*):\S/.exec(model)?.[1] ?? null;
}

/** Where it goes when these are asked, each a model or an assistant. */
export function goesTo(
  asked: readonly string[],
  models: readonly Pick<Model, "id" | "owned_by">[],
  assistants: Pick<AssistantList, "data" | "default_model"> | null,
): GoesTo {
  const plain = (name: string) =>
    models.some((one) => one.id === name && one.owned_by !== "assistant");
  const byName = new Map<string, Pick<AssistantShown, "models">>(
    (assistants?.data ?? []).map((one) => [one.name, one]),
  );
  const hosts = new Set<string>();
  const seen = new Set<string>();
  const follow = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    const host = hostOf(name);
    if (host !== null) hosts.add(host);
    const assistant = plain(name) ? undefined : byName.get(name);
    if (!assistant || !assistants) return;
    const named = assistant.models;
    (named.length > 0 ? named : [assistants.default_model]).forEach(follow);
  };
  asked.forEach(follow);
  // An assistant may have tools that send things on, such as a search of the web.
  return { stays: asked.length > 0 && hosts.size === 0 && asked.every(plain), hosts: [...hosts] };
}
