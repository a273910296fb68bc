import type { ReactNode } from "react";
import { Link } from "react-router";

import type { Job } from "../api/jobs";
import { useLanguage, useText } from "../i18n";
import { hasEnded, kindOf, shareOf } from "./job";
import { JobActions } from "./JobActions";
import { JobState } from "./JobState";
import { moment, progressOf, wordFor } from "./words";

interface Props {
  job: Job;
  /** What the title is: a link to the job's own page, or plain where one is there already. */
  title?: ReactNode;
  /** The list that gets the focus when the row leaves it. */
  onRemoved?: () => void;
}

/** A job with its numbers, why it failed, and what can be asked of it. */
export function JobRow({ job, title, onRemoved }: Props) {
  const text = useText();
  const language = useLanguage();
  const line = progressOf(text, language, job);
  const share = shareOf(job);
  const ended = hasEnded(job);
  return (
    <div className="job">
      <div className="job-head">
        <div className="job-title">
          <span className="small soft">{wordFor(text.jobs.kinds, kindOf(job))}</span>
          {title ?? (
            <Link to={`/jobs/${encodeURIComponent(job.id)}`} translate="no">
              {job.title}
            </Link>
          )}
        </div>
        <JobState job={job} />
      </div>
      {ended ? null : (
        <progress
          aria-label={text.jobs.progress(job.title)}
          {...(share === null ? {} : { max: 1, value: share })}
          className={job.state === "running" || share !== null ? "" : "still"}
        />
      )}
      <p className="small soft numbers">
        {ended ? job.ended_at && text.jobs.ended(moment(language, job.ended_at)) : line}
        {job.attempts > 1 && !ended ? ` · ${text.jobs.attempts(String(job.attempts))}` : ""}
      </p>
      {job.failure ? <JobFailure job={job} /> : null}
      <JobActions job={job} {...(onRemoved ? { onRemoved } : {})} />
    </div>
  );
}

/** Why it failed: in this page's words where it knows the code, and in the server's own. */
function JobFailure({ job }: { job: Job }) {
  const text = useText();
  const code = job.failure?.code ?? "";
  const known = Object.hasOwn(text.jobs.why, code);
  const terms = code === "terms_not_accepted" ? addressIn(job.failure?.message ?? "") : null;
  return (
    <div className="job-failure small">
      <p>{known ? wordFor(text.jobs.why, code) : text.jobs.whyOther}</p>
      {job.failure?.message ? (
        <p className="soft said">
          {text.error.said}{" "}
          <q lang="en" dir="auto">
            {job.failure.message}
          </q>
        </p>
      ) : null}
      {terms === null ? null : (
        <a href={terms} target="_blank" rel="noopener noreferrer">
          {text.jobs.terms}
        </a>
      )}
    </div>
  );
}

/** The first address that a sentence names. */
function addressIn(message: string): string | null {
  return /https:\/\/[^\s"'<>()]+[^\s"'<>().,;:]/.exec(message)?.[0] ?? null;
}
