import type { Job, JobState as State } from "../api/jobs";
import { useText } from "../i18n";
import { CheckIcon, ClockIcon, CloseIcon, PauseIcon, RunIcon, WarnIcon } from "../ui/icons";
import { wordFor } from "./words";

const ICONS: Record<State, typeof CheckIcon> = {
  waiting: ClockIcon,
  running: RunIcon,
  pausing: PauseIcon,
  paused: PauseIcon,
  cancelling: CloseIcon,
  cancelled: CloseIcon,
  done: CheckIcon,
  failed: WarnIcon,
};

/** The state of a job as a sign and a word. */
export function JobState({ job }: { job: Job }) {
  const text = useText();
  const Icon = ICONS[job.state] ?? ClockIcon;
  return (
    <span className="job-state" data-state={job.state}>
      <Icon size={16} />
      {wordFor(text.jobs.states, job.state)}
    </span>
  );
}
