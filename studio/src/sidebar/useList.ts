import {
  keepPreviousData,
  useInfiniteQuery,
  useQueryClient,
  type InfiniteData,
} from "@tanstack/react-query";
import { use, useCallback, useEffect, useRef } from "react";

import type { Summary } from "../api/conversations";
import { listConversations, type ConversationList, type Filter } from "../api/list";
import { useLineState, useServerEvent } from "../api/live";
import { SettingsContext } from "../settings/context";
import { whenIdle } from "../ui/idle";
import { withChange, withoutOne } from "./order";

type Pages = InfiniteData<ConversationList, string | null>;
const NAME = "conversations";

/** The conversations of a filter, more of them as one asks, kept true by the server's events. */
export function useList(filter: Filter) {
  const { key } = use(SettingsContext).settings;
  const edit = useListEdits();
  useServerEvent("summary", edit.changed);
  useServerEvent("gone", ({ id }) => edit.gone(id));
  useFreshAfterSilence(edit.again);
  return useInfiniteQuery({
    queryKey: [NAME, key, filter],
    queryFn: ({ pageParam, signal }) => listConversations({ key }, filter, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  });
}

/** Changes to every list that is in memory, before the server is asked again. */
export function useListEdits() {
  const client = useQueryClient();
  const each = useCallback(
    (change: (pages: ConversationList[], filter: Filter) => ConversationList[]) => {
      for (const query of client.getQueryCache().findAll({ queryKey: [NAME] }))
        client.setQueryData<Pages>(query.queryKey, (held) =>
          held ? { ...held, pages: change(held.pages, query.queryKey[2] as Filter) } : held,
        );
    },
    [client],
  );
  const changed = useCallback(
    (one: Summary) => each((pages, filter) => withChange(pages, one, filter)),
    [each],
  );
  const gone = useCallback((id: string) => each((pages) => withoutOne(pages, id)), [each]);
  const again = useCallback(() => void client.invalidateQueries({ queryKey: [NAME] }), [client]);
  return { changed, gone, again };
}

/** What was missed while no events came is asked for when they come again, and there is time. */
function useFreshAfterSilence(again: () => void) {
  const state = useLineState();
  const silent = useRef(false);
  useEffect(() => {
    const missed = state === "open" && silent.current;
    silent.current = state !== "open";
    return missed ? whenIdle(again) : undefined;
  }, [state, again]);
}
