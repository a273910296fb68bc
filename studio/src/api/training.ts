import { call, callJson, type Connection } from "./client";
import type { Job } from "./jobs";
import type { Shape } from "./shapes";

export type Run = Shape<"Run">;
export type RunDetail = Shape<"RunDetail">;
export type RunPoint = Shape<"RunPoint">;
export type RunCurve = Shape<"RunCurve">;
export type RunSample = Shape<"RunSample">;
export type Outcome = Shape<"Outcome">;
export type TrainingChoices = Shape<"TrainingChoices">;
export type NewRun = Shape<"NewRun">;

const RUNS = "/studio/api/runs";
const at = (id: string) => `${RUNS}/${encodeURIComponent(id)}`;

/** Every training run of the person, newest first. */
export async function listRuns(to: Connection, signal: AbortSignal): Promise<Run[]> {
  return (await callJson<{ data: Run[] }>(to, RUNS, { signal })).data;
}

export async function readRun(to: Connection, id: string, signal: AbortSignal): Promise<RunDetail> {
  return callJson<RunDetail>(to, at(id), { signal });
}

/** What a run measured, thinned to about `points`. */
export async function readCurve(
  to: Connection,
  id: string,
  points: number,
  signal: AbortSignal,
): Promise<RunCurve> {
  return callJson<RunCurve>(to, `${at(id)}/curve?points=${points}`, { signal });
}

export async function readSamples(
  to: Connection,
  id: string,
  signal: AbortSignal,
): Promise<RunSample[]> {
  return (await callJson<{ data: RunSample[] }>(to, `${at(id)}/samples`, { signal })).data;
}

export async function readChoices(to: Connection, signal: AbortSignal): Promise<TrainingChoices> {
  return callJson<TrainingChoices>(to, `${RUNS}/choices`, { signal });
}

/** Begins a run, as a job whose `params.run` is the run's id. */
export async function beginRun(to: Connection, wanted: NewRun): Promise<Job> {
  return callJson<Job>(to, RUNS, { method: "POST", body: wanted });
}

/** Asks a run to end at its next step and keep what it has. */
export async function stopRun(to: Connection, id: string): Promise<Run> {
  return callJson<Run>(to, `${at(id)}/stop`, { method: "POST", body: {} });
}

export async function resumeRun(to: Connection, id: string): Promise<Job> {
  return callJson<Job>(to, `${at(id)}/resume`, { method: "POST", body: {} });
}

/** Removes a run and its checkpoints; the model that it made stays. */
export async function removeRun(to: Connection, id: string): Promise<void> {
  await call(to, at(id), { method: "DELETE" });
}
