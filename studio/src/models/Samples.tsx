import { useId, useRef, useState } from "react";

import type { CatalogCard, SampleLanguage } from "../api/catalog";
import { CodeBlock } from "../prose/CodeBlock";
import { useText } from "../i18n";

/** Names that are the same in every language, and what the code of each is written in. */
const TABS: Record<SampleLanguage, { name: string; code: string }> = {
  curl: { name: "curl", code: "sh" },
  python: { name: "Python", code: "python" },
  openai: { name: "openai", code: "python" },
};

/** How to call the model from a program, in tabs that the arrow keys change. */
export function Samples({ samples }: { samples: CatalogCard["samples"] }) {
  const text = useText();
  const [chosen, setChosen] = useState(0);
  const tabs = useRef<HTMLDivElement>(null);
  const id = useId();
  const sample = samples[chosen] ?? samples[0];
  if (!sample) return null;
  const move = (to: number) => {
    const next = (to + samples.length) % samples.length;
    setChosen(next);
    tabs.current?.querySelectorAll("button")[next]?.focus();
  };
  const moves: Record<string, number> = {
    ArrowRight: chosen + 1,
    ArrowLeft: chosen - 1,
    Home: 0,
    End: samples.length - 1,
  };
  return (
    <section>
      <h2>{text.models.samples.title}</h2>
      <div
        ref={tabs}
        role="tablist"
        aria-label={text.models.samples.label}
        className="tabs"
        onKeyDown={(event) => {
          const to = moves[event.key];
          if (to === undefined) return;
          event.preventDefault();
          move(to);
        }}
      >
        {samples.map((one, index) => (
          <button
            key={one.language}
            type="button"
            role="tab"
            id={`${id}-${one.language}`}
            aria-selected={one === sample}
            aria-controls={`${id}-panel`}
            tabIndex={one === sample ? 0 : -1}
            translate="no"
            onClick={() => setChosen(index)}
          >
            {TABS[one.language].name}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${sample.language}`}>
        <CodeBlock code={sample.code} language={TABS[sample.language].code} />
      </div>
    </section>
  );
}
