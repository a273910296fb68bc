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

/** What is held of a job's log. */
export interface JobLog {
  lines: readonly LogLine[];
  /** How many lines there are before them. */
  before: number;
}

/** Lines of one answer; fewer are the end of the log. The server's own limit. */
const LINES = 1000;
/** Lines that are held; older ones are in the server's database. */
const MOST_LINES = 20_000;

/** A job's log, read on to its end from what is known of it. */
export async function readJobLog(
  to: Connection,
  id: string,
  known: JobLog,
  signal: AbortSignal,
): Promise<JobLog> {
  let { lines, before } = known;
  for (;;) {
    const query = `?after=${lines.at(-1)?.key ?? 0}`;
    const path = `${at(id)}/log${query}`;
    const { data } = await callJson<{ data: LogLine[] }>(to, path, { signal });
    const all = [...lines, ...data];
    lines = all.slice(-MOST_LINES);
    before += all.length - lines.length;
    if (data.length < LINES) return { lines, before };
  }
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
