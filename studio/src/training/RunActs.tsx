import { useEffect, useState, type ReactNode } from "react";
import { Link } from "react-router";

import type { Run } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { ChatButton } from "../models/ModelTable";
import { Failed } from "../ui/Failed";
import { PauseIcon, RunIcon, TrashIcon } from "../ui/icons";
import { isMoving, useRunActs } from "./useRuns";

/** Stop, go on, chat with what it made, remove. */
export function RunActs({ run, onRemoved }: { run: Run; onRemoved: () => void }) {
  const text = useText();
  const words = text.training;
  const { stop, resume, remove } = useRunActs(run, onRemoved);
  const [asked, setAsked] = useState(false);
  const busy = stop.isPending || resume.isPending || remove.isPending;
  const refused = stop.error ?? resume.error ?? remove.error;
  const moving = isMoving(run);
  const { reset, isSuccess } = stop;
  useEffect(() => {
    if (!moving && isSuccess) reset(); // it said that the run ends, which it did
  }, [moving, isSuccess, reset]);
  return (
    <>
      <div className="row">
        {run.state === "planning" ? (
          <Act busy={busy} onClick={remove.mutate}>
            {words.cancel}
          </Act>
        ) : moving ? (
          <Act busy={busy} onClick={stop.mutate}>
            <PauseIcon size={16} />
            {words.stop}
          </Act>
        ) : run.state === "done" ? null : (
          <Act busy={busy} onClick={resume.mutate}>
            <RunIcon size={16} />
            {run.state === "planned" ? text.training.form.begin : words.resume}
          </Act>
        )}
        {run.state === "done" && run.model !== null ? (
          <>
            <ChatButton name={run.model} />
            <Link className="button" to={`/models/${encodeURIComponent(run.model)}`} translate="no">
              {run.model}
            </Link>
          </>
        ) : null}
        {moving ? null : (
          <button
            type="button"
            className="button quiet"
            aria-expanded={asked}
            onClick={() => setAsked(!asked)}
          >
            <TrashIcon size={16} />
            {words.remove}
          </button>
        )}
        <span role="status" className="small soft">
          {stop.isPending || (stop.isSuccess && moving) ? words.stopping : ""}
          {remove.isPending && run.state === "planning" ? words.cancelling : ""}
        </span>
      </div>
      {asked && !moving ? (
        <div className="notice">
          <div className="stack">
            <p>{words.removeWhy(run.name)}</p>
            <div className="row">
              <button
                type="button"
                className="button danger"
                aria-disabled={busy}
                onClick={() => {
                  if (!busy) remove.mutate();
                }}
              >
                {words.removeSure}
              </button>
              <button type="button" className="button" onClick={() => setAsked(false)}>
                {words.keep}
              </button>
            </div>
          </div>
        </div>
      ) : null}
      {refused ? <Failed failure={failureFrom(refused)} onRetry={null} /> : null}
    </>
  );
}

interface ActProps {
  busy: boolean;
  onClick: () => void;
  children: ReactNode;
}

function Act({ busy, onClick, children }: ActProps) {
  return (
    <button
      type="button"
      className="button"
      aria-disabled={busy}
      onClick={() => {
        if (!busy) onClick();
      }}
    >
      {children}
    </button>
  );
}
