import { useEffect, useRef, useState } from "react";

import { steadyNow } from "../conversation/clock";
import type { Message, Progress } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import type { Catalogue, Language } from "../i18n/catalogue";
import { bytes, count, decimal } from "../i18n/format";

/** Seconds from which on an estimate is worth saying. */
const LONG = 3;

/** What a reply waits for, with numbers that move. */
export function Waiting({ reply }: { reply: Message }) {
  const text = useText();
  const language = useLanguage();
  const seconds = count(language, useSecondsSince(reply.created_at));
  const { progress } = reply;
  const parts = progress
    ? [progressLine(text, language, progress), text.wait.seconds(seconds)]
    : [text.wait.sending(seconds)];
  const eta = progress?.eta ?? null;
  if (eta !== null && eta >= LONG) parts.push(text.wait.about(count(language, Math.ceil(eta))));
  const line = parts.join(" · ");
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
  { stage, done, total }: Progress,
): string {
  const show = stage === "loading" ? bytes : count;
  return text.wait[stage](show(language, done), total === null ? null : show(language, total));
}

/** While words come: how fast. Where the model does not count its tokens, characters are counted. */
export function WritingNow({ reply }: { reply: Message }) {
  const text = useText();
  const language = useLanguage();
  const characters = useRate(reply.text.length + reply.reasoning.length);
  const tokens = useRate(reply.written ?? null);
  if (reply.state !== "writing") return null;
  return (
    <span className="waiting">
      <span className="pulse" aria-hidden="true" />
      {tokens !== null && tokens >= 0.1
        ? text.wait.tokensAt(decimal(language, tokens, tokens < 10 ? 1 : 0))
        : characters === null || characters < 1
          ? text.wait.writing
          : text.wait.writingAt(count(language, characters))}
    </span>
  );
}

/** How much more a second over the last few seconds; null while there is too little to measure. */
function useRate(amount: number | null): number | null {
  const [rate, setRate] = useState<number | null>(null);
  const now = useRef(amount);
  useEffect(() => {
    now.current = amount;
  }, [amount]);
  useEffect(() => {
    const seen: { at: number; amount: number }[] = [];
    const timer = setInterval(() => {
      if (now.current === null) return;
      seen.push({ at: steadyNow(), amount: now.current });
      if (seen.length > 6) seen.shift();
      const [first] = seen;
      const last = seen.at(-1);
      if (!first || !last || last.at - first.at < 900) return;
      setRate(((last.amount - first.amount) * 1000) / (last.at - first.at));
    }, 500);
    return () => clearInterval(timer);
  }, []);
  return rate;
}

/** `start`: seconds since 1970 by the server's clock. */
function useSecondsSince(start: number): number {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const begun = steadyNow() / 1000;
    // Another machine's clock may differ by anything; then it is counted from here.
    const skewed = begun < start - 1 || begun - start > 3600;
    const from = skewed ? begun : Math.min(start, begun);
    const tell = () => setSeconds(Math.max(0, Math.floor(steadyNow() / 1000 - from)));
    tell();
    const timer = setInterval(tell, 250);
    return () => clearInterval(timer);
  }, [start]);
  return seconds;
}
