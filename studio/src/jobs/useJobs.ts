import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { use, useCallback } from "react";

import { ApiError } from "../api/errors";
import { askJob, listJobs, removeJob, type Job, type JobWish } from "../api/jobs";
import { SettingsContext } from "../settings/context";
import { useIsTold } from "./useIsTold";
import { hasEnded, isMoving, withJob } from "./job";

const ABSENT: readonly string[] = ["refused", "model", "gone"];

/** Whether a server has no such calls, or no such thing: it is not asked again and again. */
export function isAbsent(error: unknown): boolean {
  return error instanceof ApiError && ABSENT.includes(error.failure.kind);
}

/** Milliseconds between two questions while something moves, and while nothing does. */
const SOON = 2000;
const LATER = 15_000;

/** The person's jobs: told by the event stream, and asked for in case that is down. */
export function useJobs() {
  const { key } = use(SettingsContext).settings;
  const told = useIsTold();
  return useQuery({
    queryKey: ["jobs", key],
    queryFn: ({ signal }) => listJobs({ key }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => {
      if (isAbsent(state.error)) return false;
      return state.data?.some(isMoving) && !told ? SOON : LATER;
    },
  });
}

/** Puts what the server said of a job into the list that the pages show. */
export function useTakeJob(): (job: Job) => void {
  const queries = useQueryClient();
  const { key } = use(SettingsContext).settings;
  return useCallback(
    (job) => queries.setQueryData<Job[]>(["jobs", key], (jobs) => withJob(jobs ?? [], job)),
    [queries, key],
  );
}

/** Asks a job to pause, go on or end. */
export function useAskJob(job: Job) {
  const queries = useQueryClient();
  const { key } = use(SettingsContext).settings;
  const take = useTakeJob();
  return useMutation({
    mutationFn: (wish: JobWish) => askJob({ key }, job.id, wish),
    networkMode: "always",
    onSuccess: take,
    onError: () => queries.invalidateQueries({ queryKey: ["jobs"] }),
  });
}

/** Takes ended jobs off the list; `onRemoved` is told even where what asked for it went with them. */
export function useRemoveJobs(onRemoved: (() => void) | undefined) {
  const queries = useQueryClient();
  const { key } = use(SettingsContext).settings;
  return useMutation({
    mutationFn: async (jobs: readonly Job[]) => {
      for (const job of jobs.filter(hasEnded)) {
        await removeJob({ key }, job.id);
        queries.setQueryData<Job[]>(["jobs", key], (now) =>
          (now ?? []).filter((one) => one.id !== job.id),
        );
      }
    },
    networkMode: "always",
    onSuccess: () => onRemoved?.(),
    onSettled: () => queries.invalidateQueries({ queryKey: ["jobs"] }),
  });
}
