import { useMemo } from "react";

import type { Run } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { Chart } from "./Chart";
import { lineOf, MEASURES, type Measure } from "./curves";
import { useCurves } from "./useRuns";
import { useSay } from "./useSay";

/** The curves of several runs over each other. */
export function Comparison({ runs }: { runs: readonly Run[] }) {
  const text = useText();
  const { points, error, refetch } = useCurves(runs);
  const say = useSay();
  const names = useMemo(() => namesOf(runs), [runs]);
  const charts = useMemo(
    () =>
      MEASURES.map((measure: Measure) => ({
        measure,
        lines: runs.map((_, at) => lineOf(names[at] ?? "", points[at] ?? [], measure)),
      })),
    [runs, names, points],
  );
  return (
    <section className="stack">
      <h2>{text.training.compare}</h2>
      {error ? <Failed failure={failureFrom(error)} onRetry={refetch} /> : null}
      <div className="charts">
        {charts.map(({ measure, lines }) => (
          <Chart
            key={measure}
            title={text.training.measures[measure]}
            unit={text.training.units[measure]}
            lines={lines}
            say={(value) => say(measure, value)}
          />
        ))}
      </div>
    </section>
  );
}

/** Runs of one name are told apart by their ids. */
function namesOf(runs: readonly Run[]): string[] {
  return runs.map((run) =>
    runs.filter((other) => other.name === run.name).length > 1 ? run.id : run.name,
  );
}
