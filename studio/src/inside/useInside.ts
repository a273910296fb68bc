import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { use, useDeferredValue, useMemo } from "react";

import { attend, lookInside, weigh, type Inside, type Reply, type Sliders } from "../api/inside";
import { SettingsContext } from "../settings/context";

/** A reply from inside, part by part. */
export function useInside(reply: Reply) {
  const { key } = use(SettingsContext).settings;
  const query = useInfiniteQuery({
    queryKey: ["inside", key, reply],
    queryFn: ({ pageParam, signal }) => lookInside({ key }, reply, pageParam, signal),
    initialPageParam: 0,
    getNextPageParam: (last: Inside) => {
      const next = last.start + last.tokens.length;
      return last.tokens.length > 0 && next < last.total ? next : null;
    },
    staleTime: Infinity, // a reply that has ended does not change
    gcTime: 60_000,
  });
  const pages = query.data?.pages;
  const inside = useMemo(() => {
    const [first] = pages ?? [];
    return first ? { ...first, tokens: pages?.flatMap((page) => page.tokens) ?? [] } : null;
  }, [pages]);
  return { query, inside };
}

/**
 * What sampling does at a token; the last answer stays until the next one is there, so it may be of
 * another `position` than the one that is asked for.
 */
export function useWeighed(reply: Reply, position: number, wanted: Sliders) {
  const { key } = use(SettingsContext).settings;
  const sliders = useDeferredValue(wanted);
  return useQuery({
    queryKey: ["inside", "weigh", key, reply, position, sliders],
    queryFn: async ({ signal }) => ({
      position,
      ...(await weigh({ key }, reply, position, sliders, signal)),
    }),
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    gcTime: 10_000,
  });
}

/** Where a token looks; until that is there, where the one before it looked. */
export function useAttention(
  reply: Reply,
  what: { layer: number; head: number; position: number },
) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["inside", "attend", key, reply, what],
    queryFn: ({ signal }) => attend({ key }, reply, what, signal),
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    gcTime: 60_000,
  });
}
