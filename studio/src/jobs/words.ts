import type { Job } from "../api/jobs";
import type { Catalogue, Language } from "../i18n/catalogue";
import { bytes, count } from "../i18n/format";
import { secondsLeft } from "./job";

/** A word of the catalogue for what the server calls `name`; its own where the page knows none. */
export function wordFor(words: Record<string, string>, name: string): string {
  return Object.hasOwn(words, name) ? (words[name] ?? name) : name;
}

/** A time as people say it: about a third more or less makes no other words. */
export function duration(language: Language, seconds: number): string {
  const [value, unit] =
    seconds < 90
      ? [Math.max(1, Math.ceil(seconds)), "second"]
      : seconds < 90 * 60
        ? [Math.round(seconds / 60), "minute"]
        : [Math.round(seconds / 3600), "hour"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(
    value,
  );
}

/** A moment in the reader's own time. */
export function moment(language: Language, seconds: number): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(seconds * 1000),
  );
}

/** The time of day, to the second. */
export function clock(language: Language, seconds: number): string {
  return new Intl.DateTimeFormat(language, { timeStyle: "medium" }).format(
    new Date(seconds * 1000),
  );
}

/** The numbers of a job that moves: what it does, how much is done, how fast, how long still. */
export function progressOf(text: Catalogue, language: Language, job: Job): string {
  const amount = (value: number) => {
    if (job.unit === "bytes") return bytes(language, value);
    const number = count(language, value);
    const unit = wordFor(text.jobs.units, job.unit);
    return unit === "" ? number : `${number} ${unit}`;
  };
  const parts: string[] = [];
  if (job.stage !== "") parts.push(wordFor(text.jobs.stages, job.stage));
  if (job.total !== null) parts.push(text.jobs.of(amount(job.done), amount(job.total)));
  else if (job.done > 0) parts.push(amount(job.done));
  if (job.state === "running" && job.rate) parts.push(text.jobs.rate(amount(job.rate)));
  const left = secondsLeft(job);
  if (left !== null && left >= 3) parts.push(text.jobs.left(duration(language, left)));
  return parts.join(" · ");
}
