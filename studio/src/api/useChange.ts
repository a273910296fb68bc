import { useMutation, useQueryClient } from "@tanstack/react-query";
import { use } from "react";

import { SettingsContext } from "../settings/context";
import type { Connection } from "./client";

/** Says that lists (the first parts of their keys) are to be read anew. */
export function useTell(lists: readonly string[]) {
  const queries = useQueryClient();
  return () => Promise.all(lists.map((list) => queries.invalidateQueries({ queryKey: [list] })));
}

/**
 * A change of what the server keeps. It is tried whatever the browser thinks of the network; the
 * lists that it may change are read anew however it ends.
 */
export function useChange<Given, Made>(
  work: (to: Connection, given: Given) => Promise<Made>,
  lists: readonly string[],
  onDone?: (made: Made, given: Given) => void,
) {
  const { key } = use(SettingsContext).settings;
  const tell = useTell(lists);
  return useMutation({
    mutationFn: (given: Given) => work({ key }, given),
    networkMode: "always",
    ...(onDone ? { onSuccess: onDone } : {}),
    onSettled: () => tell(),
  });
}
