import {
  keepPreviousData,
  useMutation,
  useQueries,
  useQuery,
  useQueryClient,
  type UseQueryResult,
} from "@tanstack/react-query";
import { use } from "react";

import {
  beginRun,
  listRuns,
  readChoices,
  readCurve,
  readRun,
  readSamples,
  removeRun,
  resumeRun,
  stopRun,
  type NewRun,
  type Run,
  type RunCurve,
} from "../api/training";
import { isAbsent, useTakeJob } from "../jobs/useJobs";
import { SettingsContext } from "../settings/context";

/** Milliseconds between two questions while a run moves, and while none does. */
const SOON = 2000;
const LATER = 15_000;
/** Points of a curve that are asked for: about as many as a screen has columns for it. */
const POINTS = 600;

export function isMoving(run: Run): boolean {
  return ["running", "waiting", "planning"].includes(run.state);
}

function useKey(): string | null {
  return use(SettingsContext).settings.key;
}

export function useRuns() {
  const key = useKey();
  return useQuery({
    queryKey: ["runs", key],
    queryFn: ({ signal }) => listRuns({ key }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => {
      if (isAbsent(state.error)) return false;
      return state.data?.some(isMoving) ? SOON : LATER;
    },
  });
}

export function useRun(id: string) {
  const key = useKey();
  return useQuery({
    queryKey: ["runs", key, id],
    queryFn: ({ signal }) => readRun({ key }, id, signal),
    refetchInterval: ({ state }) => {
      if (isAbsent(state.error)) return false;
      return state.data && !isMoving(state.data.run) ? LATER : SOON;
    },
  });
}

/** Curves of runs, in their order; asked for again while one moves, and once more at its end. */
export function useCurves(runs: readonly Run[]) {
  const key = useKey();
  return useQueries({
    queries: runs.map((run) => ({
      queryKey: ["runs", key, run.id, "curve", run.state],
      queryFn: ({ signal }: { signal: AbortSignal }) => readCurve({ key }, run.id, POINTS, signal),
      placeholderData: keepPreviousData,
      refetchInterval: isMoving(run) ? SOON : (false as const),
    })),
    combine: together,
  });
}

/** Outside of the hook, so that it is called again only when an answer is another. */
function together(queries: readonly UseQueryResult<RunCurve>[]) {
  return {
    points: queries.map((query) => query.data?.data ?? []),
    error: queries.find((query) => query.isError)?.error ?? null,
    refetch: () => queries.forEach((query) => void query.refetch()),
  };
}

export function useSamples(run: Run) {
  const key = useKey();
  return useQuery({
    queryKey: ["runs", key, run.id, "samples", run.state],
    queryFn: ({ signal }) => readSamples({ key }, run.id, signal),
    placeholderData: keepPreviousData,
    refetchInterval: isMoving(run) ? SOON * 5 : false,
  });
}

export function useChoices() {
  const key = useKey();
  return useQuery({
    queryKey: ["training-choices", key],
    queryFn: ({ signal }) => readChoices({ key }, signal),
  });
}

export function useBeginRun(onBegun: (run: string) => void) {
  const key = useKey();
  const queries = useQueryClient();
  const take = useTakeJob();
  return useMutation({
    mutationFn: (wanted: NewRun) => beginRun({ key }, wanted),
    networkMode: "always",
    onSuccess: (job) => {
      take(job);
      void queries.invalidateQueries({ queryKey: ["runs"] });
      onBegun(String(job.params["run"]));
    },
  });
}

/** Stops a run, goes on with it, or removes it. */
export function useRunActs(run: Run, onRemoved: () => void) {
  const key = useKey();
  const queries = useQueryClient();
  const take = useTakeJob();
  const after = () => queries.invalidateQueries({ queryKey: ["runs"] });
  const stop = useMutation({
    mutationFn: () => stopRun({ key }, run.id),
    networkMode: "always",
    onSettled: after,
  });
  const resume = useMutation({
    mutationFn: () => resumeRun({ key }, run.id),
    networkMode: "always",
    onMutate: () => stop.reset(), // it said that the run ends
    onSuccess: take,
    onSettled: after,
  });
  const remove = useMutation({
    mutationFn: () => removeRun({ key }, run.id),
    networkMode: "always",
    onSuccess: () => {
      onRemoved();
      queries.removeQueries({ queryKey: ["runs", key, run.id] });
      return after();
    },
  });
  return { stop, resume, remove };
}
