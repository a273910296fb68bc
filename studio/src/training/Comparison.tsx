import type { Run } from "../api/training";
import { useText } from "../i18n";
import { Charts } from "./Charts";

/** The curves of several runs over each other. */
export function Comparison({ runs }: { runs: readonly Run[] }) {
  const text = useText();
  return (
    <section className="stack">
      <h2>{text.training.compare}</h2>
      <Charts runs={runs} />
    </section>
  );
}
