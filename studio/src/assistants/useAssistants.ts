import { useQuery } from "@tanstack/react-query";
import { use } from "react";

import {
  listAssistants,
  readAssistant,
  readChoices,
  removeAssistant,
  restoreAssistant,
  type AssistantShown,
} from "../api/assistants";
import type { Model } from "../api/models";
import { useChange } from "../api/useChange";
import { SettingsContext } from "../settings/context";
import { goesTo, type GoesTo } from "./goesTo";

export function useAssistants(enabled = true) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["assistants", key],
    queryFn: ({ signal }) => listAssistants({ key }, signal),
    enabled,
  });
}

/** One with its recipe, read when it is opened and not again while it is written. */
export function useAssistant(name: string | null) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["assistant", key, name],
    queryFn: ({ signal }) => readAssistant({ key }, name ?? "", signal),
    enabled: name !== null,
    staleTime: 0,
    gcTime: 0,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
}

export function useChoices() {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["recipe-choices", key],
    queryFn: ({ signal }) => readChoices({ key }, signal),
    refetchOnWindowFocus: false,
  });
}

/** What changes who there is changes these lists. */
export const LISTS = ["assistants", "models", "recipe-choices"];

export function useRemove(onRemoved: (one: AssistantShown) => void) {
  return useChange(
    (to, one: AssistantShown) => removeAssistant(to, one.name, one.tag),
    LISTS,
    (_, one) => onRemoved(one),
  );
}

export function useRestore(onRestored: () => void) {
  return useChange(restoreAssistant, LISTS, onRestored);
}

/** The assistant that answers under a model's name; null where that is none. */
export function useAssistantOf(
  model: string | null,
  models: readonly Model[] | undefined,
): AssistantShown | null {
  const is = models?.some((one) => one.id === model && one.owned_by === "assistant") ?? false;
  const query = useAssistants(is);
  return is ? (query.data?.data.find((one) => one.name === model) ?? null) : null;
}

/** Where what one writes goes when these are asked. */
export function useGoesTo(asked: readonly string[], models: readonly Model[] | undefined): GoesTo {
  const is = (name: string) =>
    models?.some((one) => one.id === name && one.owned_by === "assistant") ?? false;
  const query = useAssistants(asked.some(is));
  return goesTo(asked, models ?? [], query.data ?? null);
}
