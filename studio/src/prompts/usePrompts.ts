import { useQuery } from "@tanstack/react-query";
import { use } from "react";

import {
  comparePrompt,
  listAnswers,
  listPrompts,
  listTechniques,
  readPrompt,
  removePrompt,
  restorePrompt,
  type PromptSummary,
} from "../api/prompts";
import { useChange } from "../api/useChange";
import { SettingsContext } from "../settings/context";

export function usePrompts() {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["prompts", key],
    queryFn: ({ signal }) => listPrompts({ key }, signal),
  });
}

export function usePrompt(id: string | null) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["prompt", key, id],
    queryFn: ({ signal }) => readPrompt({ key }, id ?? "", signal),
    enabled: id !== null,
  });
}

export function useTechniques() {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["techniques", key],
    queryFn: ({ signal }) => listTechniques({ key }, signal),
    staleTime: Infinity,
  });
}

export function useDifference(id: string, old: number, fresh: number) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["prompt-diff", key, id, old, fresh],
    queryFn: ({ signal }) => comparePrompt({ key }, id, { old, new: fresh }, signal),
    enabled: old !== fresh,
    staleTime: Infinity, // versions never change
  });
}

/** Answers of a page of the list: those of a version, before a key. */
export function useAnswers(id: string | null, version: number | null, limit: number) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["prompt-answers", key, id, version, limit],
    queryFn: ({ signal }) => listAnswers({ key }, id ?? "", { version, limit }, signal),
    enabled: id !== null,
  });
}

/** What changes prompts changes these lists. */
export const LISTS = ["prompts", "prompt", "prompt-answers"];

export function useRemove(onRemoved: (one: PromptSummary) => void) {
  return useChange(
    (to, one: PromptSummary) => removePrompt(to, one.id),
    LISTS,
    (_, one) => onRemoved(one),
  );
}

export function useRestore(onRestored: () => void) {
  return useChange(restorePrompt, LISTS, onRestored);
}
