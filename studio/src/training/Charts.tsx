import { useMemo } from "react";

import type { Run } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { Chart } from "./Chart";
import { coloursOf } from "./colours";
import { expectationOf, lineOf, MEASURES } from "./curves";
import { useCurves } from "./useRuns";
import { useSay } from "./useSay";

/** Everything that runs measured, over each other where there are several. */
export function Charts({ runs }: { runs: readonly Run[] }) {
  const text = useText();
  const say = useSay();
  const { points, error, refetch } = useCurves(runs);
  const charts = useMemo(() => {
    const colours = coloursOf(runs);
    return MEASURES.map((measure) => ({
      measure,
      lines: runs.map((run, at) => ({
        ...lineOf(nameOf(run, runs), points[at] ?? [], measure),
        colour: colours.get(run.id) ?? 0,
        expected: measure === "bits_per_byte" ? expectationOf(run.expected) : null,
      })),
    }));
  }, [runs, points]);
  return (
    <>
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
    </>
  );
}

/** Runs of one name are told apart by their ids. */
function nameOf(run: Run, runs: readonly Run[]): string {
  return runs.some((other) => other.id !== run.id && other.name === run.name) ? run.id : run.name;
}
