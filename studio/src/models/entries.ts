import type { CatalogModel } from "../api/catalog";
import type { Model } from "../api/models";

/** A line of the models page: what the catalogue says, and what the server answers with. */
export interface Entry {
  name: string;
  /** Null for a model that only the list of answering models has, such as a hosted one. */
  card: CatalogModel | null;
  here: boolean;
  loaded: boolean;
  context: number | null;
  /** What can be asked of it, as far as the server says. */
  use: Model["use"];
}

/**
 * The catalogue in its own order, then models that answer but stand in no catalogue. What is in
 * memory is said by the list of models, which is asked more often.
 */
export function entriesOf(
  catalog: readonly CatalogModel[],
  models: readonly Model[] | undefined,
): Entry[] {
  const answering = new Map(models?.map((model) => [model.id, model]));
  const known = catalog.map((card): Entry => {
    const model = answering.get(card.name);
    answering.delete(card.name);
    return {
      name: card.name,
      card,
      here: card.installed,
      loaded: model?.loaded ?? card.loaded,
      context: model?.max_model_len ?? card.context_length,
      use: model?.use ?? "write",
    };
  });
  const others = [...answering.values()].map((model): Entry => ({
    name: model.id,
    card: null,
    here: true,
    loaded: model.loaded ?? false,
    context: model.max_model_len ?? null,
    use: model.use ?? "write",
  }));
  return [...known, ...others];
}

/** Whether it writes text; null counts as yes here, too. */
export function canWrite(entry: Entry): boolean {
  return entry.use === "write" && entry.card?.task !== "embed" && entry.card?.task !== "classify";
}

/** Whether it can be talked to now; null counts as yes, for whoever asks it will be told. */
export function canChat(entry: Entry): boolean {
  return entry.here && canWrite(entry) && entry.card?.chats !== false && !entry.card?.problem;
}

export type SizeClass = "small" | "medium" | "large" | "huge" | "unknown";
export const SIZE_CLASSES: readonly SizeClass[] = ["small", "medium", "large", "huge", "unknown"];

/** Bytes of the weights, as far as they are known. */
export function sizeOf(entry: Entry): number | null {
  return entry.card?.size ?? (entry.card?.download || null);
}

export function sizeClass(entry: Entry): SizeClass {
  const size = sizeOf(entry);
  if (size === null) return "unknown";
  if (size <= 500e6) return "small";
  if (size <= 2e9) return "medium";
  return size <= 8e9 ? "large" : "huge";
}
