import { useQuery, useQueryClient } from "@tanstack/react-query";
import { use, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useNavigate, useParams } from "react-router";

import { readJob, readJobLog, type Job, type JobLog, type LogLine } from "../api/jobs";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { SettingsContext } from "../settings/context";
import { BackLink } from "../ui/BackLink";
import { Failed } from "../ui/Failed";
import { isMoving } from "./job";
import { JobRow } from "./JobRow";
import { isAbsent, useJobs } from "./useJobs";
import { clock, moment } from "./words";

/** One job with its log. */
export function JobPage() {
  const text = useText();
  const { job: id = "" } = useParams();
  const { job, error, isPending, refetch } = useJob(id);
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${job?.title ?? text.jobs.title} · ${text.product}`}</title>
      <div className="column">
        <header>
          <BackLink to="/jobs" words={text.jobs.all} />
          <h1 {...(job ? { translate: "no" as const } : {})}>
            {job?.title ?? (isAbsent(error) ? text.jobs.missing : text.jobs.title)}
          </h1>
        </header>
        {isPending ? <p role="status">{text.jobs.loading}</p> : null}
        {job ? (
          <JobDetail job={job} />
        ) : isAbsent(error) ? (
          <p>{text.jobs.missingWhy}</p>
        ) : error ? (
          <Failed failure={failureFrom(error)} onRetry={refetch} />
        ) : null}
      </div>
    </div>
  );
}

/** The job out of the list, which is kept fresh; asked for alone where the list has it not. */
function useJob(id: string) {
  const { key } = use(SettingsContext).settings;
  const list = useJobs();
  const listed = list.data?.find((job) => job.id === id);
  const alone = useQuery({
    queryKey: ["jobs", key, id],
    queryFn: ({ signal }) => readJob({ key }, id, signal),
    enabled: !list.isPending && !listed,
  });
  return {
    job: listed ?? (alone.isError ? undefined : alone.data),
    error: listed ? null : alone.error,
    isPending: !listed && (list.isPending || alone.isPending),
    refetch: () => void alone.refetch(),
  };
}

function JobDetail({ job }: { job: Job }) {
  const text = useText();
  const language = useLanguage();
  const navigate = useNavigate();
  return (
    <>
      <section className="job-detail">
        <JobRow job={job} title={<></>} onRemoved={() => void navigate("/jobs")} />
        <p className="small soft">
          {text.jobs.created(moment(language, job.created_at))}
          {job.started_at === null
            ? ""
            : ` · ${text.jobs.started(moment(language, job.started_at))}`}
        </p>
      </section>
      <Log job={job} />
    </>
  );
}

/** Lines that are shown at first, and more each time that older ones are asked for. */
const STEP = 1000;
const NOTHING: JobLog = { lines: [], before: 0 };

function Log({ job }: { job: Job }) {
  const text = useText();
  const language = useLanguage();
  const query = useLog(job);
  const [most, setMost] = useState(STEP);
  const { lines, before } = query.data ?? NOTHING;
  const hidden = Math.max(0, lines.length - most);
  const shown = lines.slice(hidden);
  const { box, onScroll } = useKeptPlace(shown);
  const say = (value: number) => count(language, value);
  const older = () => {
    setMost(most + STEP);
    if (hidden <= STEP) box.current?.focus(); // the button goes
  };
  return (
    <section className="stack">
      <h2>{text.jobs.log}</h2>
      {query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : null}
      {query.isSuccess && lines.length === 0 ? (
        <p className="small soft">{text.jobs.logEmpty}</p>
      ) : null}
      {hidden + before > 0 ? (
        <div className="row small soft">
          <span>{text.jobs.logCut(say(shown.length), say(lines.length + before))}</span>
          {hidden > 0 ? (
            <button type="button" className="button" onClick={older}>
              {text.jobs.logOlder(say(Math.min(STEP, hidden)))}
            </button>
          ) : null}
        </div>
      ) : null}
      {shown.length > 0 ? (
        <ol
          ref={box}
          className="job-log"
          tabIndex={0}
          aria-label={text.jobs.log}
          onScroll={onScroll}
        >
          {shown.map((line) => (
            <li key={line.key} data-level={line.level}>
              <time className="soft">{clock(language, line.at)}</time>{" "}
              {line.level === "info" ? null : <b>{text.jobs.levels[line.level]}</b>}{" "}
              <span lang="en" dir="auto">
                {line.line}
              </span>
            </li>
          ))}
        </ol>
      ) : null}
    </section>
  );
}

/**
 * Keeps a box of lines at its end, where the newest is, until it is scrolled up; and what is seen
 * where it is when older lines come above it.
 */
function useKeptPlace(lines: readonly LogLine[]) {
  const box = useRef<HTMLOListElement>(null);
  const below = useRef(0); // pixels that can still be scrolled down
  const first = useRef(0);
  const oldest = lines[0]?.key ?? 0;
  const newest = lines.at(-1)?.key ?? 0;
  const onScroll = () => {
    const at = box.current;
    if (at) below.current = at.scrollHeight - at.clientHeight - at.scrollTop;
  };
  useLayoutEffect(() => {
    const at = box.current;
    if (!at) return;
    const atEnd = below.current < 2; // a zoomed page scrolls by parts of a pixel
    if (atEnd || oldest < first.current)
      at.scrollTo(0, at.scrollHeight - at.clientHeight - below.current);
    first.current = oldest;
    below.current = at.scrollHeight - at.clientHeight - at.scrollTop;
  }, [oldest, newest]);
  return { box, onScroll };
}

/** The log, of which only what is new is asked for; once more after the job has ended. */
function useLog(job: Job) {
  const queries = useQueryClient();
  const { key } = use(SettingsContext).settings;
  const query = useQuery({
    queryKey: ["job-log", key, job.id],
    queryFn: ({ queryKey, signal }) =>
      readJobLog({ key }, job.id, queries.getQueryData<JobLog>(queryKey) ?? NOTHING, signal),
    refetchInterval: isMoving(job) ? 2000 : false,
  });
  const { refetch } = query;
  useEffect(() => void refetch(), [refetch, job.state, job.stage]);
  return query;
}
