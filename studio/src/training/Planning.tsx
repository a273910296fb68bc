import { useEffect, useState } from "react";

import type { Run, RunDetail } from "../api/training";
import { useLanguage, useText } from "../i18n";
import type { Catalogue } from "../i18n/catalogue";
import { count } from "../i18n/format";
import { Outcomes } from "./Outcomes";
import { isMoving, useRuns } from "./useRuns";

/** A run before its beginning: what is being measured, or what was. */
export function Planning({ detail: { run, plan } }: { detail: RunDetail }) {
  const words = useText().training;
  const others = (useRuns().data ?? []).some((one) => one.id !== run.id && isMoving(one));
  const said = saidOf(words, run);
  if (said === null) return null;
  return (
    <div className="stack">
      {/* One element in all states, so that a change of its words is read out. */}
      <p role="status">{said}</p>
      {run.state === "planning" ? (
        <>
          <progress aria-label={words.measuring} />
          <Elapsed since={run.started_at ?? run.created_at} />
          {others ? <p className="small soft">{words.beside}</p> : null}
        </>
      ) : null}
      {run.state === "planned" ? (
        <>
          <Outcomes expected={run.expected} />
          {run.expected?.bits_per_byte === null ? (
            <p className="small soft">{whyNoBits(words, run, plan)}</p>
          ) : null}
        </>
      ) : null}
    </div>
  );
}

function saidOf(words: Catalogue["training"], run: Run): string | null {
  if (run.state === "planning") return words.measuring;
  if (run.state === "waiting") return words.measuresLater;
  return run.state === "planned" ? words.measuredNow : null;
}

/** Why nothing is said of held-out text: the plan has the reason. */
function whyNoBits(words: Catalogue["training"], run: Run, plan: RunDetail["plan"]): string {
  const law = String((plan["prediction"] as Record<string, unknown> | undefined)?.["law"] ?? "");
  if (law.includes("held-out")) return words.noBitsText;
  if (law.includes("trained model")) return words.noBitsBase;
  return run.objective === "pretrain" ? "" : words.noBits;
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
