import { keepPreviousData, useMutation, useQuery } from "@tanstack/react-query";
import { use } from "react";

import {
  compareTokenizers,
  cutText,
  listTokenizers,
  type CompareTokenizers,
} from "../api/tokenizers";
import { useTakeJob } from "../jobs/useJobs";
import { SettingsContext } from "../settings/context";

export function useTokenizers() {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["tokenizers", key],
    queryFn: ({ signal }) => listTokenizers({ key }, signal),
  });
}

/** The pieces of a text; what was cut before stays until the new one is there. */
export function usePieces(names: readonly string[], text: string) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["pieces", key, names, text],
    queryFn: ({ signal }) => cutText({ key }, names, text, signal),
    enabled: names.length > 0 && text !== "",
    placeholderData: keepPreviousData,
  });
}

export function useComparing() {
  const { key } = use(SettingsContext).settings;
  const take = useTakeJob();
  return useMutation({
    mutationFn: (wanted: CompareTokenizers) => compareTokenizers({ key }, wanted),
    networkMode: "always",
    onSuccess: take,
  });
}
