import { useMemo } from "react";

import type { Inside } from "../api/inside";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { CopyButton } from "../ui/CopyButton";
import { WarnIcon } from "../ui/icons";
import { cutAt } from "./pieces";

/** Exactly what the model read. */
export function GivenView({ inside }: { inside: Inside }) {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  const parts = useMemo(() => cutAt(inside.prompt_text, inside.prompt_marks), [inside]);
  const tokens = count(language, inside.prompt_tokens);
  return (
    <div className="stack">
      {inside.prompt_exact ? null : (
        <p className="notice warn">
          <WarnIcon size={18} />
          <span>{words.changed}</span>
        </p>
      )}
      <div className="row between">
        <p className="small">
          {inside.prompt_exact ? words.prompt(tokens) : words.wouldBe(tokens)}
        </p>
        <CopyButton text={inside.prompt_text} label={words.copy} />
      </div>
      <pre className="given" translate="no" tabIndex={0} aria-label={words.given}>
        {parts.map((part, at) => (at % 2 ? <code key={at}>{part}</code> : part))}
      </pre>
    </div>
  );
}
