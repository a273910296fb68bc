import { useQuery, useQueryClient } from "@tanstack/react-query";
import { use, useEffect } from "react";
import { Link, useNavigate, useParams } from "react-router";

import { readJob, readJobLog, type Job, type LogLine } from "../api/jobs";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { SettingsContext } from "../settings/context";
import { Failed } from "../ui/Failed";
import { LeftIcon } from "../ui/icons";
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
          <p className="small">
            <Link className="back" to="/jobs">
              <LeftIcon size={16} />
              {text.jobs.all}
            </Link>
          </p>
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

/** Lines that the page holds; older ones are in the server's database. */
const MOST_LINES = 2000;

function Log({ job }: { job: Job }) {
  const text = useText();
  const language = useLanguage();
  const query = useLog(job);
  const lines = query.data ?? [];
  return (
    <section className="stack">
      <h2>{text.jobs.log}</h2>
      {query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : null}
      {query.isSuccess && lines.length === 0 ? (
        <p className="small soft">{text.jobs.logEmpty}</p>
      ) : null}
      {lines.length >= MOST_LINES ? (
        <p className="small soft">{text.jobs.logCut(count(language, MOST_LINES))}</p>
      ) : null}
      {lines.length > 0 ? (
        <ol className="job-log" tabIndex={0} aria-label={text.jobs.log}>
          {lines.map((line) => (
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

/** The log, of which only what is new is asked for; once more after the job has ended. */
function useLog(job: Job) {
  const queries = useQueryClient();
  const { key } = use(SettingsContext).settings;
  const query = useQuery({
    queryKey: ["job-log", key, job.id],
    queryFn: async ({ queryKey, signal }) => {
      const known = queries.getQueryData<LogLine[]>(queryKey) ?? [];
      const fresh = await readJobLog({ key }, job.id, known.at(-1)?.key ?? null, signal);
      return fresh.length === 0 ? known : [...known, ...fresh].slice(-MOST_LINES);
    },
    refetchInterval: isMoving(job) ? 2000 : false,
  });
  const { refetch } = query;
  useEffect(() => void refetch(), [refetch, job.state, job.stage]);
  return query;
}
