import type { Job, JobState } from "../api/jobs";

const ENDED: readonly JobState[] = ["cancelled", "done", "failed"];

export function hasEnded(job: Job): boolean {
  return ENDED.includes(job.state);
}

/** Whether the server works on it, or will without being asked. */
export function isMoving(job: Job): boolean {
  return !hasEnded(job) && job.state !== "paused";
}

/** What it is for the reader: a training that is only planned trains nothing. */
export function kindOf(job: Job): string {
  return job.kind === "training" && job.params["goal"] === "plan" ? "plan" : job.kind;
}

/** How much is done, from 0 to 1; null while nobody knows the whole. */
export function shareOf(job: Job): number | null {
  if (job.total === null || job.total <= 0) return null;
  return Math.min(1, Math.max(0, job.done / job.total));
}

/** Seconds that it takes still at its present rate; null where that cannot be told. */
export function secondsLeft(job: Job): number | null {
  if (job.state !== "running" || job.total === null || !job.rate || job.rate <= 0) return null;
  return Math.max(0, (job.total - job.done) / job.rate);
}

/** The whole of several jobs as one share, by their own shares; null where none is known. */
export function shareOfAll(jobs: readonly Job[]): number | null {
  const shares = jobs.map(shareOf).filter((share) => share !== null);
  if (shares.length === 0) return null;
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

/** What has not ended comes first; within both, the newest. */
export function inOrder(jobs: readonly Job[]): Job[] {
  return [...jobs].sort(
    (a, b) => Number(hasEnded(a)) - Number(hasEnded(b)) || b.created_at - a.created_at,
  );
}

/** The list with this job in its newest form; one that is new to it comes first. */
export function withJob(jobs: readonly Job[], job: Job): Job[] {
  return jobs.some((one) => one.id === job.id)
    ? jobs.map((one) => (one.id === job.id ? job : one))
    : [job, ...jobs];
}

/** Jobs that have ended between two lists: whoever waits for them is to be told. */
export function endedBetween(before: readonly Job[], after: readonly Job[]): Job[] {
  const open = new Set(before.filter((job) => !hasEnded(job)).map((job) => job.id));
  return after.filter((job) => open.has(job.id) && hasEnded(job));
}

const text = (value: unknown) => (typeof value === "string" ? value : null);

/** The model that a download brings, by the name that it was asked for or got; else null. */
export function modelOf(job: Job): string | null {
  if (job.kind !== "download") return null;
  return text(job.result?.["name"]) ?? text(job.params["name"]) ?? text(job.params["model"]);
}

/** The newest download of a model; null where there was none. */
export function downloadOf(jobs: readonly Job[], model: string, id: string | null): Job | null {
  const named = jobs.find((job) => job.id === id);
  if (named) return named;
  const wanted = model.toLowerCase();
  const found = jobs.filter((job) => modelOf(job)?.toLowerCase() === wanted);
  return found.sort((a, b) => b.created_at - a.created_at)[0] ?? null;
}
