import { useMemo } from "react";
import { useNavigate, useParams } from "react-router";

import type { Run, RunDetail } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { compact, count } from "../i18n/format";
import { isAbsent } from "../jobs/useJobs";
import { moment, wordFor } from "../jobs/words";
import { BackLink } from "../ui/BackLink";
import { Failed } from "../ui/Failed";
import { Charts } from "./Charts";
import { Outcomes } from "./Outcomes";
import { Planning } from "./Planning";
import { RunActs } from "./RunActs";
import { RunState, shareOf } from "./RunState";
import { useRun, useSamples } from "./useRuns";

/** One run: how it goes, what was expected of it, and what its model says. */
export function RunPage() {
  const text = useText();
  const { run: id = "" } = useParams();
  const query = useRun(id);
  const detail = query.data;
  const gone = isAbsent(query.error);
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${detail?.run.name ?? text.training.title} · ${text.product}`}</title>
      <div className="column broad">
        <header>
          <BackLink to="/training" words={text.training.all} />
          <h1 {...(detail ? { translate: "no" as const } : {})}>
            {detail?.run.name ?? (gone ? text.training.missing : text.training.title)}
          </h1>
        </header>
        {query.isPending ? <p role="status">{text.training.loading}</p> : null}
        {gone ? (
          <p>{text.training.missingWhy}</p>
        ) : query.isError ? (
          <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
        ) : null}
        {detail && !gone ? <Detail detail={detail} /> : null}
      </div>
    </div>
  );
}

function Detail({ detail }: { detail: RunDetail }) {
  const text = useText();
  const language = useLanguage();
  const navigate = useNavigate();
  const { run, measured } = detail;
  const share = shareOf(run);
  const one = useMemo(() => [run], [run]);
  const before = run.state === "planning" || run.state === "planned";
  return (
    <>
      <section className="stack">
        <p className="row">
          <RunState run={run} />
          {before ? null : (
            <span className="small soft numbers">{progressOf(text, language, run)}</span>
          )}
        </p>
        {run.state === "running" || run.state === "waiting" ? (
          <progress
            aria-label={text.jobs.progress(run.name)}
            {...(share === null ? {} : { max: 1, value: share })}
          />
        ) : null}
        <p className="small soft">
          {wordFor(text.training.objectives, run.objective)} ·{" "}
          {text.jobs.created(moment(language, run.created_at))} ·{" "}
          <span translate="no">{run.id}</span>
        </p>
        {run.problem === "" ? null : (
          <div className="notice bad" role="alert">
            <p lang="en">{run.problem}</p>
          </div>
        )}
        {before ? <Planning detail={detail} /> : null}
        <RunActs run={run} onRemoved={() => void navigate("/training")} />
      </section>
      {before ? null : (
        <>
          {run.expected || measured ? (
            <section className="stack">
              <h2>{text.training.outcome}</h2>
              <Outcomes expected={run.expected} measured={measured} />
            </section>
          ) : null}
          <section className="stack">
            <h2>{text.training.curves}</h2>
            <Charts runs={one} />
          </section>
        </>
      )}
      <Samples run={run} />
      <details>
        <summary>{text.training.plan}</summary>
        <pre className="plan" tabIndex={0} lang="en">
          {JSON.stringify(detail.plan, null, 2)}
        </pre>
      </details>
    </>
  );
}

function progressOf(
  text: ReturnType<typeof useText>,
  language: ReturnType<typeof useLanguage>,
  run: Run,
): string {
  const words = text.training;
  const parts = [
    run.steps === null
      ? words.step(count(language, run.step))
      : words.stepOf(count(language, run.step), count(language, run.steps)),
    `${compact(language, run.tokens)} ${words.tokens}`,
  ];
  if (run.state === "running" && run.tokens_per_second)
    parts.push(words.speed(count(language, run.tokens_per_second)));
  return parts.join(" · ");
}

/** Samples at first, and more each time that earlier ones are asked for. */
function Samples({ run }: { run: Run }) {
  const text = useText();
  const language = useLanguage();
  const query = useSamples(run);
  const samples = [...(query.data ?? [])].reverse();
  if (query.isSuccess && samples.length === 0) return null;
  return (
    <section className="stack">
      <h2>{text.training.samples}</h2>
      <p className="small soft">{text.training.samplesWhy}</p>
      {query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : null}
      <ol className="samples" tabIndex={0} aria-label={text.training.samples}>
        {samples.map((sample, at) => (
          <li key={`${sample.step} ${at}`}>
            <p className="small soft numbers">{text.training.step(count(language, sample.step))}</p>
            <p className="sample" dir="auto">
              <b>{sample.prompt}</b>
              {sample.text}
            </p>
          </li>
        ))}
      </ol>
    </section>
  );
}
