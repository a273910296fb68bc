import { useMutation } from "@tanstack/react-query";
import { use, type ReactNode } from "react";
import { Link } from "react-router";

import { pullModel } from "../api/catalog";
import type { Job } from "../api/jobs";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { Failed } from "../ui/Failed";
import { CloseIcon, PauseIcon, RetryIcon, RunIcon } from "../ui/icons";
import { hasEnded, modelOf } from "./job";
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
  const removed = useRemoveJobs();
  const retried = useRetry(job);
  const going = job.state === "running" || job.state === "waiting" || job.state === "pausing";
  const busy = asked.isPending || removed.isPending || retried.isPending;
  const failed = [asked, removed, retried].find((one) => one.error !== null);
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
  return (
    <>
      <div className="row">
        {going
          ? act(
              text.jobs.pause,
              <PauseIcon size={16} />,
              () => asked.mutate("pause"),
              job.state === "pausing",
            )
          : null}
        {job.state === "paused"
          ? act(text.jobs.resume, <RunIcon size={16} />, () => asked.mutate("resume"))
          : null}
        {hasEnded(job) || job.state === "cancelling"
          ? null
          : act(text.jobs.cancel, <CloseIcon size={16} />, () => asked.mutate("cancel"))}
        {canRetry(job)
          ? act(text.jobs.retry, <RetryIcon size={16} />, () => retried.mutate())
          : null}
        {model === null ? null : (
          <Link className="button" to={`/models/${encodeURIComponent(model)}`} translate="no">
            {model}
          </Link>
        )}
        {hasEnded(job)
          ? act(text.jobs.remove, <CloseIcon size={16} />, () =>
              removed.mutate([job], { onSuccess: () => onRemoved?.() }),
            )
          : null}
        {job.state === "pausing" || job.state === "cancelling" ? (
          <span className="small soft">{text.jobs.asking}</span>
        ) : null}
      </div>
      {failed ? <Failed failure={failureFrom(failed.error as Error)} onRetry={null} /> : null}
    </>
  );
}

const textOf = (value: unknown) => (typeof value === "string" ? value : null);

function canRetry(job: Job): boolean {
  const again = job.state === "failed" || job.state === "cancelled";
  return again && job.kind === "download" && textOf(job.params["model"]) !== null;
}

/** Asks for the same download again: it goes on with whatever arrived. */
function useRetry(job: Job) {
  const { key } = use(SettingsContext).settings;
  const take = useTakeJob();
  return useMutation({
    mutationFn: () =>
      pullModel(
        { key },
        {
          model: textOf(job.params["model"]) ?? "",
          accept_terms: job.params["accept_terms"] === true,
          name: textOf(job.params["name"]),
        },
      ),
    networkMode: "always",
    onSuccess: take,
  });
}
