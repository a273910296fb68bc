import { useEffect, useState } from "react";

import type { Run } from "../api/training";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { Outcomes } from "./Outcomes";
import { isMoving, useRuns } from "./useRuns";

/** A run before its beginning: what is being measured, or what was. */
export function Planning({ run }: { run: Run }) {
  const text = useText();
  const words = text.training;
  const others = (useRuns().data ?? []).some((one) => one.id !== run.id && isMoving(one));
  if (run.state === "planned")
    return (
      <div className="stack">
        <Outcomes expected={run.expected} />
        {run.expected?.bits_per_byte === null ? <p className="small soft">{words.noBits}</p> : null}
        {others ? <p className="small soft">{words.beside}</p> : null}
      </div>
    );
  if (run.state !== "planning" && run.state !== "waiting") return null;
  return (
    <div className="stack">
      <p role="status">{run.state === "planning" ? words.measuring : words.measuresLater}</p>
      {run.state === "planning" ? (
        <>
          <progress aria-label={words.measuring} />
          <Elapsed since={run.started_at ?? run.created_at} />
        </>
      ) : null}
    </div>
  );
}

/** Seconds since a moment by the clock, which is the server's: not below 0. */
function Elapsed({ since }: { since: number }) {
  const text = useText();
  const words = text.training;
  const language = useLanguage();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.round(now / 1000 - since));
  return <p className="small soft numbers">{words.elapsed(count(language, seconds))}</p>;
}
