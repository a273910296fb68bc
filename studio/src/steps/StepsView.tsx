import { useMemo, useState } from "react";

import { isLive, type Message } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { count, decimal } from "../i18n/format";
import { arranged, summed, waitingOf, type ShownStep } from "./arrange";
import { kindOf, StepRow } from "./StepRow";

/**
 * What was done for a reply: open while it is done, one line when it has ended. Whoever opens or
 * closes it by hand has the last word.
 */
export function StepsView({ reply, secret }: { reply: Message; secret: boolean }) {
  const text = useText();
  const [wanted, setWanted] = useState<boolean | null>(null);
  const shown = useMemo(
    // While names are a secret, nobody says which model was chosen.
    () => arranged(reply).filter(({ step }) => !secret || step.name !== "route"),
    [reply, secret],
  );
  if (shown.length === 0) return null;
  const live = isLive(reply);
  const open = wanted ?? live;
  return (
    <details className="steps" open={open}>
      <summary
        onClick={(event) => {
          event.preventDefault(); // it is we who open and close it
          setWanted(!open);
        }}
      >
        <span className="unseen">{`${text.steps.title} · `}</span>
        <OneLine reply={reply} shown={shown} />
      </summary>
      <ol>
        {shown.map((one) => (
          <StepRow key={one.key} shown={one} reply={reply} />
        ))}
      </ol>
    </details>
  );
}

/** All in one line: what is done now, or how much was done in all. */
function OneLine({ reply, shown }: { reply: Message; shown: readonly ShownStep[] }) {
  const text = useText();
  const language = useLanguage();
  const last = shown.at(-1);
  if (isLive(reply)) {
    if (waitingOf(reply).length > 0) return text.consent.waiting;
    if (!last) return null;
    const tool = last.tool === null ? "" : ` ${last.tool}`;
    return text.steps.now(`${kindOf(text, last)}${tool}`);
  }
  const { steps, calls, failed, seconds } = summed(shown);
  const long = Math.max(seconds, reply.took ?? 0);
  const parts = [text.steps.count(count(language, steps))];
  if (calls > 0) parts.push(text.steps.calls(count(language, calls)));
  if (failed > 0) parts.push(text.steps.failed(count(language, failed)));
  parts.push(text.steps.seconds(decimal(language, long, long < 10 ? 1 : 0)));
  return parts.join(language === "ja" ? "、" : ", ");
}
