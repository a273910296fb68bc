import { useMutation } from "@tanstack/react-query";
import { use, useRef, useState, type ReactNode } from "react";
import { Link } from "react-router";

import { pullModel } from "../api/catalog";
import type { Job } from "../api/jobs";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { Failed } from "../ui/Failed";
import { KeepOrDelete } from "../ui/KeepOrDelete";
import { CheckIcon, CloseIcon, PauseIcon, RetryIcon, RunIcon } from "../ui/icons";
import { hasEnded, kindOf, modelOf } from "./job";
import { useAskJob, useRemoveJobs, useTakeJob } from "./useJobs";

interface Props {
  job: Job;
  /** Takes the focus when the row goes. */
  onRemoved?: () => void;
}

/** What can be asked of a job in its state; a refusal is shown here. */
export function JobActions({ job, onRemoved }: Props) {
  const text = useText();
  const asked = useAskJob(job);
  const removed = useRemoveJobs(onRemoved);
  const accepted = useAcceptTerms(job);
  const busy = asked.isPending || removed.isPending || accepted.isPending;
  const refused = asked.error ?? removed.error ?? accepted.error;
  const [asking, setAsking] = useState(false);
  const row = useRef<HTMLDivElement>(null);
  // With it go hours of training, which nothing brings back.
  const trains = kindOf(job) === "training";
  const model = job.state === "done" ? modelOf(job) : null;
  const act = (what: string, icon: ReactNode, onAct: () => void, still = false) => (
    <button
      type="button"
      className="button"
      aria-label={text.jobs.act(what, job.title)}
      aria-disabled={busy || still}
      onClick={() => {
        if (!busy && !still) onAct();
      }}
    >
      {icon}
      {what}
    </button>
  );
  // Pause and its contraries are one button in one place: the focus stays on it.
  const main = () => {
    if (job.state === "paused")
      return act(text.jobs.resume, <RunIcon size={16} />, () => asked.mutate("resume"));
    if (needsTerms(job))
      return act(text.jobs.accept, <CheckIcon size={16} />, () => accepted.mutate());
    if (job.state === "failed")
      return act(text.jobs.retry, <RetryIcon size={16} />, () => asked.mutate("resume"));
    if (hasEnded(job) || job.state === "cancelling") return null;
    const pausing = job.state === "pausing";
    return act(text.jobs.pause, <PauseIcon size={16} />, () => asked.mutate("pause"), pausing);
  };
  const close = () => {
    const icon = <CloseIcon size={16} />;
    const ending = job.state === "cancelling"; // it stays, and with it the focus
    const cancel = () => (trains ? setAsking(!asking) : asked.mutate("cancel"));
    if (!hasEnded(job)) return act(text.jobs.cancel, icon, cancel, ending);
    return act(text.jobs.remove, icon, () => removed.mutate([job]));
  };
  return (
    <>
      <div className="row" ref={row} tabIndex={-1}>
        {main()}
        {close()}
        {model === null ? null : (
          <Link className="button" to={`/models/${encodeURIComponent(model)}`} translate="no">
            {model}
          </Link>
        )}
        {typeof job.params["run"] === "string" ? (
          <Link className="button" to={`/training/${encodeURIComponent(job.params["run"])}`}>
            {text.jobs.toRun}
          </Link>
        ) : null}
        {job.state === "pausing" || job.state === "cancelling" ? (
          <span className="small soft">{text.jobs.asking}</span>
        ) : null}
      </div>
      {asking && !hasEnded(job) && job.state !== "cancelling" ? (
        <div className="notice">
          <div className="stack">
            <p>{text.training.removeWhy(job.title)}</p>
            <KeepOrDelete
              keep={text.training.keep}
              remove={text.training.removeSure}
              pending={busy}
              onKeep={() => {
                setAsking(false);
                row.current?.focus(); // this button goes
              }}
              onRemove={() => {
                asked.mutate("cancel");
                setAsking(false);
                row.current?.focus();
              }}
            />
          </div>
        </div>
      ) : null}
      {refused ? <Failed failure={failureFrom(refused)} onRetry={null} /> : null}
    </>
  );
}

function needsTerms(job: Job): boolean {
  const named = typeof job.params["model"] === "string";
  return job.state === "failed" && job.failure?.code === "terms_not_accepted" && named;
}

/** The same download as a new job, with the consent that it lacked. */
function useAcceptTerms(job: Job) {
  const { key } = use(SettingsContext).settings;
  const take = useTakeJob();
  const { model, as_name: name } = job.params;
  return useMutation({
    mutationFn: () =>
      pullModel(
        { key },
        { model: String(model), accept_terms: true, name: typeof name === "string" ? name : null },
      ),
    networkMode: "always",
    onSuccess: take,
  });
}
