import type { Run } from "../api/training";
import { useLanguage, useText } from "../i18n";
import { percent } from "../i18n/format";
import { duration } from "../jobs/words";
import { CheckIcon, JobsIcon, PauseIcon, TrainingIcon, WarnIcon } from "../ui/icons";

const SIGNS = {
  waiting: JobsIcon,
  planning: JobsIcon,
  planned: PauseIcon,
  running: TrainingIcon,
  stopped: PauseIcon,
  failed: WarnIcon,
  done: CheckIcon,
};

/** What a run does now, how far it is, and how long it takes still. */
export function RunState({ run }: { run: Run }) {
  const text = useText();
  const language = useLanguage();
  const Sign = SIGNS[run.state];
  const tone = run.state === "done" ? " good" : run.state === "failed" ? " bad" : "";
  const share = shareOf(run);
  const moves = run.state === "running";
  return (
    <span className={`state-sign numbers${tone}`}>
      <Sign size={16} />
      <span>
        {text.training.states[run.state]}
        {share !== null && run.step > 0 && run.state !== "done"
          ? ` ${percent(language, share)}`
          : ""}
        {moves && run.seconds_left !== null ? (
          <span className="small soft">
            {" "}
            {text.training.left(duration(language, run.seconds_left))}
          </span>
        ) : null}
      </span>
    </span>
  );
}

/** How far a run is, from 0 to 1; null while nobody knows the whole. */
export function shareOf(run: Run): number | null {
  if (run.steps === null || run.steps <= 0) return null;
  return Math.min(1, Math.max(0, run.step / run.steps));
}
