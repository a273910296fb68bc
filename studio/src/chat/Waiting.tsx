import { useEffect, useState } from "react";

import { steadyNow } from "../conversation/clock";
import type { Reply } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import type { Catalogue, Language } from "../i18n/catalogue";
import { bytes, count } from "../i18n/format";

/** What a reply waits for, with numbers that move. */
export function Waiting({ reply }: { reply: Reply }) {
  const text = useText();
  const language = useLanguage();
  const seconds = count(language, useSecondsSince(reply.askedAt));
  const { progress } = reply;
  const line = progress
    ? `${progressLine(text, language, progress)} · ${text.wait.seconds(seconds)}`
    : text.wait.sending(seconds);
  const total = progress?.stage === "queued" ? null : progress?.total;
  return (
    <div className="waiting">
      <span className="pulse" aria-hidden="true" />
      <span className="line">{line}</span>
      {progress && total ? (
        <progress max={total} value={Math.min(progress.done, total)} aria-label={line} />
      ) : null}
    </div>
  );
}

export function progressLine(
  text: Catalogue,
  language: Language,
  { stage, done, total }: NonNullable<Reply["progress"]>,
): string {
  const show = stage === "loading" ? bytes : count;
  return text.wait[stage](show(language, done), total === null ? null : show(language, total));
}

function useSecondsSince(start: number): number {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const tell = () => setSeconds(Math.max(0, Math.floor((steadyNow() - start) / 1000)));
    tell();
    const timer = setInterval(tell, 250);
    return () => clearInterval(timer);
  }, [start]);
  return seconds;
}
