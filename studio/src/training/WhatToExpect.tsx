import { useEffect } from "react";
import { Link, useNavigate } from "react-router";

import type { Run } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { isAbsent } from "../jobs/useJobs";
import { Failed } from "../ui/Failed";
import { RunIcon } from "../ui/icons";
import { Planning } from "./Planning";
import { wordFor } from "../jobs/words";
import { useRun, useRunActs } from "./useRuns";

interface Props {
  id: string;
  /** Back to the choices; the plan is gone then. */
  onChange: () => void;
}

/** The plan of a run that was asked for in the form, and its beginning. */
export function WhatToExpect({ id, onChange }: Props) {
  const text = useText();
  const query = useRun(id);
  const gone = isAbsent(query.error);
  useEffect(() => {
    if (gone) onChange();
  }, [gone, onChange]);
  if (query.data) return <Plan run={query.data.run} onChange={onChange} />;
  if (query.isError && !gone)
    return <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />;
  return <p role="status">{text.training.loading}</p>;
}

function Plan({ run, onChange }: { run: Run; onChange: () => void }) {
  const text = useText();
  const words = text.training;
  const navigate = useNavigate();
  const { resume, remove } = useRunActs(run, onChange);
  const page = `/training/${encodeURIComponent(run.id)}`;
  const busy = resume.isPending || remove.isPending;
  const refused = resume.error ?? remove.error;
  const ended = !["planning", "waiting", "planned"].includes(run.state);
  return (
    <div className="stack plan-step">
      <h3>
        {words.whatToExpect} <span translate="no">{run.name}</span>{" "}
        <span className="small soft">{wordFor(words.objectives, run.objective)}</span>
      </h3>
      <Planning run={run} />
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
              if (!busy) resume.mutate(undefined, { onSuccess: () => void navigate(page) });
            }}
          >
            <RunIcon size={16} />
            {text.training.form.begin}
          </button>
        ) : null}
        {ended && run.problem === "" ? (
          <Link className="button" to={page}>
            {words.openRun}
          </Link>
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
