import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
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
export function useTellLists() {
  const queries = useQueryClient();
  return () => {
    for (const queryKey of [["prompts"], ["prompt"], ["prompt-answers"]])
      void queries.invalidateQueries({ queryKey });
  };
}

export function useRemove(onRemoved: (one: PromptSummary) => void) {
  const { key } = use(SettingsContext).settings;
  const tell = useTellLists();
  return useMutation({
    mutationFn: (one: PromptSummary) => removePrompt({ key }, one.id),
    networkMode: "always",
    onSuccess: (_, one) => onRemoved(one),
    onSettled: tell,
  });
}

export function useRestore(onRestored: () => void) {
  const { key } = use(SettingsContext).settings;
  const tell = useTellLists();
  return useMutation({
    mutationFn: (id: string) => restorePrompt({ key }, id),
    networkMode: "always",
    onSuccess: onRestored,
    onSettled: tell,
  });
}
