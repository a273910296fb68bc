import { useMemo } from "react";
import { Link, useNavigate, useParams } from "react-router";

import type { Outcome, Run, RunDetail } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { bits, bytes, compact, count } from "../i18n/format";
import { isAbsent } from "../jobs/useJobs";
import { duration, moment } from "../jobs/words";
import { Failed } from "../ui/Failed";
import { LeftIcon } from "../ui/icons";
import { Chart } from "./Chart";
import { lineOf, MEASURES } from "./curves";
import { RunActs } from "./RunActs";
import { RunState, shareOf } from "./RunState";
import { wordOf } from "./TrainingPage";
import { useCurves, useRun, useSamples } from "./useRuns";
import { useSay } from "./useSay";

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
          <p className="small">
            <Link className="back" to="/training">
              <LeftIcon size={16} />
              {text.training.all}
            </Link>
          </p>
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
  const { run, expected, measured } = detail;
  const share = shareOf(run);
  return (
    <>
      <section className="stack">
        <p className="row">
          <RunState run={run} />
          <span className="small soft numbers">{progressOf(text, language, run)}</span>
        </p>
        {run.state === "running" || run.state === "waiting" ? (
          <progress
            aria-label={text.jobs.progress(run.name)}
            {...(share === null ? {} : { max: 1, value: share })}
          />
        ) : null}
        <p className="small soft">
          {wordOf(text.training.objectives, run.objective)} ·{" "}
          {text.jobs.created(moment(language, run.created_at))} ·{" "}
          <span translate="no">{run.id}</span>
        </p>
        {run.problem === "" ? null : (
          <div className="notice bad" role="alert">
            <p lang="en">{run.problem}</p>
          </div>
        )}
        <RunActs run={run} onRemoved={() => void navigate("/training")} />
      </section>
      {expected || measured ? <Outcomes expected={expected} measured={measured} /> : null}
      <Curves run={run} expected={expected} />
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

/** What the plan said before the run, beside what came. */
function Outcomes({ expected, measured }: Pick<RunDetail, "expected" | "measured">) {
  const text = useText();
  const language = useLanguage();
  const words = text.training;
  const known = (value: number | null, say: (value: number) => string) =>
    value === null ? null : say(value);
  const rows: readonly (readonly [string, (outcome: Outcome) => string | null])[] = [
    [words.parameters, (of) => known(of.parameters, (n) => compact(language, n))],
    [words.tokenCount, (of) => known(of.tokens, (n) => compact(language, n))],
    [words.time, (of) => known(of.seconds, (n) => duration(language, n))],
    [words.memory, (of) => known(of.memory_bytes, (n) => bytes(language, n))],
    [words.bitsPerByte, (of) => interval(language, of)],
  ];
  return (
    <section className="stack">
      <h2>{words.outcome}</h2>
      <table className="outcome numbers">
        <thead>
          <tr>
            <td />
            <th scope="col">{words.expected}</th>
            <th scope="col">{words.measured}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, say]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{(expected && say(expected)) || "–"}</td>
              <td>{(measured && say(measured)) || "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function interval(language: ReturnType<typeof useLanguage>, outcome: Outcome): string | null {
  const { bits_per_byte: value, bits_per_byte_low: low, bits_per_byte_high: high } = outcome;
  if (value === null) return null;
  if (low === null || high === null) return bits(language, value);
  return `${bits(language, value)} (${bits(language, low)}–${bits(language, high)})`;
}

function Curves({ run, expected }: { run: Run; expected: Outcome | null }) {
  const text = useText();
  const say = useSay();
  const one = useMemo(() => [run], [run]);
  const { points, error, refetch } = useCurves(one);
  const found = points[0];
  const charts = useMemo(
    () => MEASURES.map((measure) => ({ measure, lines: [lineOf(run.name, found ?? [], measure)] })),
    [run.name, found],
  );
  const band = useMemo(() => bandOf(expected), [expected]);
  return (
    <section className="stack">
      <h2>{text.training.curves}</h2>
      {error ? <Failed failure={failureFrom(error)} onRetry={refetch} /> : null}
      <div className="charts">
        {charts.map(({ measure, lines }) => (
          <Chart
            key={measure}
            title={text.training.measures[measure]}
            unit={text.training.units[measure]}
            lines={lines}
            say={(value) => say(measure, value)}
            expected={measure === "bits_per_byte" ? band : null}
          />
        ))}
      </div>
    </section>
  );
}

/** The interval in which the last bits per byte were expected; null where nobody said. */
function bandOf(expected: Outcome | null): { low: number; high: number } | null {
  if (!expected || expected.bits_per_byte_low === null || expected.bits_per_byte_high === null)
    return null;
  return { low: expected.bits_per_byte_low, high: expected.bits_per_byte_high };
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
