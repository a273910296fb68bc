import { useRef, useState } from "react";
import { Link } from "react-router";

import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { Failed } from "../ui/Failed";
import { hasEnded, inOrder } from "./job";
import { JobRow } from "./JobRow";
import { isAbsent, useJobs, useRemoveJobs } from "./useJobs";

/** Rows before the rest is asked for. */
const FIRST = 50;

/** Every job, what runs first. */
export function JobsPage() {
  const text = useText();
  const language = useLanguage();
  const query = useJobs();
  const [shown, setShown] = useState(FIRST);
  const heading = useRef<HTMLHeadingElement>(null);
  const jobs = inOrder(query.data ?? []);
  const ended = jobs.filter(hasEnded);
  const rest = jobs.length - shown;
  const toHeading = () => heading.current?.focus();
  const removed = useRemoveJobs(toHeading);
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${text.jobs.title} · ${text.product}`}</title>
      <div className="column">
        <header>
          <h1 ref={heading} tabIndex={-1}>
            {text.jobs.title}
          </h1>
          <p className="soft">{text.jobs.intro}</p>
        </header>
        {query.isPending ? <p role="status">{text.jobs.loading}</p> : null}
        {isAbsent(query.error) ? (
          <section className="stack">
            <h2>{text.jobs.unavailable}</h2>
            <p>{text.jobs.unavailableWhy}</p>
          </section>
        ) : query.isError ? (
          <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
        ) : null}
        {query.data?.length === 0 ? (
          <section className="stack">
            <h2>{text.jobs.none}</h2>
            <p>{text.jobs.noneWhy}</p>
            <p>
              <Link className="button" to="/models">
                {text.jobs.toModels}
              </Link>
            </p>
          </section>
        ) : null}
        {jobs.length > 0 ? (
          <ul className="jobs-list">
            {jobs.slice(0, shown).map((job) => (
              <li key={job.id}>
                <JobRow job={job} onRemoved={toHeading} />
              </li>
            ))}
          </ul>
        ) : null}
        {removed.error ? <Failed failure={failureFrom(removed.error)} onRetry={null} /> : null}
        <div className="row">
          {rest > 0 ? (
            <button type="button" className="button" onClick={() => setShown(shown + FIRST)}>
              {text.jobs.more(count(language, Math.min(rest, FIRST)))}
            </button>
          ) : null}
          {ended.length > 1 ? (
            <button
              type="button"
              className="button"
              aria-disabled={removed.isPending}
              onClick={() => {
                if (!removed.isPending) removed.mutate(ended);
              }}
            >
              {text.jobs.removeEnded}
            </button>
          ) : null}
        </div>
      </div>
    </div>
  );
}
