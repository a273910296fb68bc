import { call, callJson, type Connection } from "./client";
import type { Shape } from "./shapes";

export type JobState = Job["state"];

/** Long work that outlives the page and the process. Times are seconds since 1970. */
export type Job = Shape<"Job">;

export type LogLine = Shape<"LogLine">;

const JOBS = "/studio/api/jobs";
const at = (id: string) => `${JOBS}/${encodeURIComponent(id)}`;

/** Every job of the person, newest first. */
export async function listJobs(to: Connection, signal: AbortSignal): Promise<Job[]> {
  return (await callJson<{ data: Job[] }>(to, JOBS, { signal })).data;
}

export async function readJob(to: Connection, id: string, signal: AbortSignal): Promise<Job> {
  return callJson<Job>(to, at(id), { signal });
}

/** Lines of a job's log after the one with this key. */
export async function readJobLog(
  to: Connection,
  id: string,
  after: number | null,
  signal: AbortSignal,
): Promise<LogLine[]> {
  const query = after === null ? "" : `?after=${after}`;
  return (await callJson<{ data: LogLine[] }>(to, `${at(id)}/log${query}`, { signal })).data;
}

export type JobWish = "pause" | "resume" | "cancel";

/** Asks a job to pause, go on or end; it does so at a safe place, and says when it has. */
export async function askJob(to: Connection, id: string, wish: JobWish): Promise<Job> {
  return callJson<Job>(to, `${at(id)}/${wish}`, { method: "POST", body: {} });
}

/** Takes a job that has ended off the list. */
export async function removeJob(to: Connection, id: string): Promise<void> {
  await call(to, at(id), { method: "DELETE" });
}
