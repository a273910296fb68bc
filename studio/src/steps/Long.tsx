import { useState } from "react";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { PlainText } from "../prose/PlainText";

/** Characters and lines that are shown before the rest is asked for. */
const SHORT = 600;
const LINES = 8;

/** What a model or a tool said; of a long text the beginning, and the rest when it is asked for. */
export function Long({ text: words, left = 0 }: { text: string; left?: number }) {
  const text = useText();
  const language = useLanguage();
  const [all, setAll] = useState(false);
  const short = shortened(words);
  const isLong = short.length < words.length;
  return (
    <div className="long">
      <p dir="auto" className="sample">
        <PlainText text={all || !isLong ? words : `${short}…`} />
      </p>
      {isLong ? (
        <button
          type="button"
          className="button quiet"
          aria-expanded={all}
          onClick={() => setAll(!all)}
        >
          {all ? text.steps.showLess : text.steps.showAll(count(language, words.length))}
        </button>
      ) : null}
      {left > 0 ? <p className="small soft">{text.steps.left(count(language, left))}</p> : null}
    </div>
  );
}

/** The beginning of a long text, whole characters and at most a few lines. */
export function shortened(words: string): string {
  const lines = words.split("\n");
  let short = lines.length > LINES ? lines.slice(0, LINES).join("\n") : words;
  if (short.length > SHORT) short = short.slice(0, SHORT);
  return /[\ud800-\udbff]$/.test(short) ? short.slice(0, -1) : short;
}
