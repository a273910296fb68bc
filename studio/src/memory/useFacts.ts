import { keepPreviousData, useQuery } from "@tanstack/react-query";
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
import { useChange } from "../api/useChange";
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

/** What changes with what is remembered. */
const LISTS = ["facts"];

/** What can be done with what is remembered. */
export function useFactActs() {
  return {
    change: useChange(
      (to, { id, text }: Pick<Fact, "id" | "text">) => changeFact(to, id, text),
      LISTS,
    ),
    remove: useChange((to, { id }: Fact) => deleteFact(to, id), LISTS),
    restore: useChange((to, { id }: Fact) => restoreFact(to, id), LISTS),
    clear: useChange<undefined, number>(clearFacts, LISTS),
    turn: useChange(
      (to, on: boolean) => changePreferences(to, { [SWITCH]: on ? null : false }),
      LISTS,
    ),
  };
}

export type FactActs = ReturnType<typeof useFactActs>;
