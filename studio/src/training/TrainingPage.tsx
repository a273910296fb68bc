import { Link, useSearchParams } from "react-router";

import type { Run } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { bits, compact } from "../i18n/format";
import { isAbsent } from "../jobs/useJobs";
import { moment, wordFor } from "../jobs/words";
import { Failed } from "../ui/Failed";
import { Comparison } from "./Comparison";
import { NewRunForm } from "./NewRunForm";
import { RunState } from "./RunState";
import { SERIES } from "./useColours";
import { useRuns } from "./useRuns";

/** Every training run; some of them beside each other; and the start of a new one. */
export function TrainingPage() {
  const text = useText();
  const query = useRuns();
  const [address, setAddress] = useSearchParams();
  const runs = query.data ?? [];
  const chosen = address.getAll("compare").filter((id) => runs.some((run) => run.id === id));
  const choose = (id: string, on: boolean) => {
    const next = on ? [...chosen, id] : chosen.filter((one) => one !== id);
    const all = new URLSearchParams(address); // what is planned stays
    all.delete("compare");
    for (const one of next) all.append("compare", one);
    setAddress(all, { replace: true });
  };
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${text.training.title} · ${text.product}`}</title>
      <div className="column broad">
        <header>
          <h1>{text.training.title}</h1>
          <p className="soft">{text.training.intro}</p>
        </header>
        {query.isPending ? <p role="status">{text.training.loading}</p> : null}
        {isAbsent(query.error) ? (
          <p>{text.training.unavailable}</p>
        ) : query.isError ? (
          <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
        ) : null}
        {query.data?.length === 0 ? (
          <section className="stack">
            <h2>{text.training.none}</h2>
            <p>{text.training.noneWhy}</p>
          </section>
        ) : null}
        {runs.length > 0 ? <RunTable runs={runs} chosen={chosen} onChoose={choose} /> : null}
        {chosen.length > 1 ? (
          <Comparison
            runs={chosen
              .map((id) => runs.find((run) => run.id === id))
              .filter((run) => run !== undefined)}
          />
        ) : runs.length > 1 ? (
          <p className="small soft">{text.training.compareHow}</p>
        ) : null}
        {query.data ? <NewRunForm /> : null}
      </div>
    </div>
  );
}

interface TableProps {
  runs: readonly Run[];
  chosen: readonly string[];
  onChoose: (id: string, on: boolean) => void;
}

function RunTable({ runs, chosen, onChoose }: TableProps) {
  const text = useText();
  const language = useLanguage();
  const words = text.training;
  return (
    <table className="models runs">
      <thead>
        <tr>
          <th scope="col">
            <span className="unseen">{words.compare}</span>
          </th>
          <th scope="col">{words.run}</th>
          <th scope="col">{text.models.state}</th>
          <th scope="col">{words.parameters}</th>
          <th scope="col">{words.tokenCount}</th>
          <th scope="col">{words.bitsPerByte}</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => {
          const on = chosen.includes(run.id);
          return (
            <tr key={run.id}>
              <td>
                <label className="check">
                  <input
                    type="checkbox"
                    checked={on}
                    disabled={!on && chosen.length >= SERIES}
                    aria-label={words.compareRun(run.name)}
                    onChange={(event) => onChoose(run.id, event.target.checked)}
                  />
                  <span className="narrow-label">{words.compare}</span>
                </label>
              </td>
              <th scope="row">
                <Link to={`/training/${encodeURIComponent(run.id)}`} translate="no">
                  {run.name}
                </Link>
                <p className="small soft">
                  {wordFor(words.objectives, run.objective)} · {moment(language, run.created_at)}
                </p>
              </th>
              <td>
                <RunState run={run} />
              </td>
              <td className="numbers">
                <span className="narrow-label">{words.parameters} </span>
                {run.parameters === null ? "–" : compact(language, run.parameters)}
              </td>
              <td className="numbers">
                <span className="narrow-label">{words.tokenCount} </span>
                {compact(language, run.tokens)}
              </td>
              <td className="numbers">
                <span className="narrow-label">{words.bitsPerByte} </span>
                {run.bits_per_byte === null ? "–" : bits(language, run.bits_per_byte)}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
