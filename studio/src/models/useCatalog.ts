import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { use, useMemo } from "react";

import { listCatalog, listLoaded, readCard } from "../api/catalog";
import { useModels } from "../api/useModels";
import { isAbsent } from "../jobs/useJobs";
import { SettingsContext } from "../settings/context";
import { entriesOf, type Entry } from "./entries";

const EVERY = 15_000; // milliseconds; ended downloads and deletions ask anew at once

export function useCatalog() {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["catalog", key],
    queryFn: ({ signal }) => listCatalog({ key }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => (isAbsent(state.error) ? false : EVERY),
  });
}

/** The page's lines, what went wrong, and whether there is a catalogue at all. */
export function useEntries() {
  const catalog = useCatalog();
  const models = useModels("all");
  const absent = isAbsent(catalog.error);
  const entries = useMemo((): Entry[] | null => {
    if (catalog.data) return entriesOf(catalog.data, models.data);
    return absent && models.data ? entriesOf([], models.data) : null;
  }, [catalog.data, models.data, absent]);
  return {
    entries,
    absent,
    /** Whether the server said so just now: otherwise nobody knows what is in memory. */
    fresh: !models.isError,
    error: absent ? models.error : (catalog.error ?? models.error),
    refetch: () => {
      void catalog.refetch();
      void models.refetch();
    },
  };
}

export function useCard(name: string) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["catalog", key, name],
    queryFn: ({ signal }) => readCard({ key }, name, signal),
    refetchInterval: ({ state }) => (isAbsent(state.error) ? false : EVERY),
  });
}

/** What is in memory now; an error where the models of a server cannot be loaded by hand. */
export function useLoaded() {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["loaded", key],
    queryFn: ({ signal }) => listLoaded({ key }, signal),
    refetchInterval: ({ state }) => (isAbsent(state.error) ? false : 3000),
  });
}
