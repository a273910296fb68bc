import { useEffect, useRef, useState } from "react";
import { Link, useNavigate } from "react-router";

import type { RunDetail } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { isAbsent } from "../jobs/useJobs";
import { Failed } from "../ui/Failed";
import { RunIcon } from "../ui/icons";
import { forgetDraft } from "./useDraft";
import { Planning } from "./Planning";
import { wordFor } from "../jobs/words";
import { useRun, useRunActs } from "./useRuns";

interface Props {
  id: string;
  /** Whether its heading takes the focus: the form that had it is hidden. */
  takesFocus: () => boolean;
  /** Back to the choices. */
  onChange: () => void;
}

/** The plan of a run that was asked for in the form, and its beginning. */
export function WhatToExpect({ id, takesFocus, onChange }: Props) {
  const text = useText();
  const query = useRun(id);
  const gone = isAbsent(query.error);
  useEffect(() => {
    if (gone) onChange();
  }, [gone, onChange]);
  if (query.data && !gone)
    return <Plan detail={query.data} takesFocus={takesFocus} onChange={onChange} />;
  if (query.isError && !gone)
    return <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />;
  return <p role="status">{text.training.loading}</p>;
}

interface PlanProps extends Omit<Props, "id"> {
  detail: RunDetail;
}

function Plan({ detail, takesFocus, onChange }: PlanProps) {
  const { run } = detail;
  const text = useText();
  const words = text.training;
  const navigate = useNavigate();
  const { resume, remove } = useRunActs(run, onChange);
  const page = `/training/${encodeURIComponent(run.id)}`;
  const busy = resume.isPending || remove.isPending;
  const refused = resume.error ?? remove.error;
  const [focuses] = useState(takesFocus); // once, as it appears
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (focuses) heading.current?.focus();
  }, [focuses]);
  // The address stays in the history: what has begun since is not to be taken away from here.
  const begun = run.steps !== null && run.state !== "planning" && run.state !== "planned";
  return (
    <div className="stack plan-step">
      <h3 ref={heading} tabIndex={-1}>
        {words.whatToExpect} <span translate="no">{run.name}</span>{" "}
        <span className="small soft">{wordFor(words.objectives, run.objective)}</span>
      </h3>
      {begun ? <p>{words.begun}</p> : <Planning detail={detail} />}
      {run.problem === "" ? null : (
        <div className="notice bad" role="alert">
          <p lang="en">{run.problem}</p>
        </div>
      )}
      <div className="row">
        {run.state === "planned" ? (
          <button
            type="button"
            className="button primary"
            aria-disabled={busy}
            onClick={() => {
              if (busy) return;
              const onSuccess = () => {
                forgetDraft();
                void navigate(page);
              };
              resume.mutate(undefined, { onSuccess });
            }}
          >
            <RunIcon size={16} />
            {text.training.form.begin}
          </button>
        ) : null}
        {begun ? (
          <>
            <Link className="button" to={page}>
              {words.openRun}
            </Link>
            <button type="button" className="button" onClick={onChange}>
              {words.another}
            </button>
          </>
        ) : (
          <button
            type="button"
            className="button"
            aria-disabled={busy}
            onClick={() => {
              if (!busy) remove.mutate();
            }}
          >
            {run.state === "planning" || run.state === "waiting" ? words.cancel : words.change}
          </button>
        )}
        <span role="status" className="small soft">
          {remove.isPending ? words.cancelling : ""}
        </span>
      </div>
      {refused ? <Failed failure={failureFrom(refused)} onRetry={null} /> : null}
    </div>
  );
}
