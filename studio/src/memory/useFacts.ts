import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { use } from "react";

import {
  changeFact,
  clearFacts,
  deleteFact,
  listFacts,
  restoreFact,
  type Fact,
} from "../api/memory";
import { changePreferences } from "../api/preferences";
import { SettingsContext } from "../settings/context";

/** The preference by which a person switches memory off; the server's name for it. */
const SWITCH = "memory";

/** What is remembered; with words, what has to do with them. */
export function useFacts(words: string) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["facts", key, words],
    queryFn: ({ signal }) => listFacts({ key }, words, signal),
    placeholderData: keepPreviousData,
    refetchOnWindowFocus: true, // an assistant may have remembered something meanwhile
  });
}

/** What can be done with what is remembered; after each the list is read anew. */
export function useFactActs() {
  const queries = useQueryClient();
  const { key } = use(SettingsContext).settings;
  const onSettled = () => queries.invalidateQueries({ queryKey: ["facts"] });
  const how = { networkMode: "always", onSettled } as const;
  return {
    change: useMutation({
      mutationFn: ({ id, text }: Pick<Fact, "id" | "text">) => changeFact({ key }, id, text),
      ...how,
    }),
    remove: useMutation({ mutationFn: ({ id }: Fact) => deleteFact({ key }, id), ...how }),
    restore: useMutation({ mutationFn: ({ id }: Fact) => restoreFact({ key }, id), ...how }),
    clear: useMutation({ mutationFn: () => clearFacts({ key }), ...how }),
    turn: useMutation({
      mutationFn: (on: boolean) => changePreferences({ key }, { [SWITCH]: on ? null : false }),
      ...how,
    }),
  };
}

export type FactActs = ReturnType<typeof useFactActs>;
