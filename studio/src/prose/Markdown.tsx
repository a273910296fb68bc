import { memo, startTransition, useDeferredValue, useMemo, useState } from "react";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { markdownBlocks } from "./blocks";
import { CodeBlock } from "./CodeBlock";
import { Formula } from "./Formula";
import { LongTable } from "./LongTable";
import { Parsed, Plain } from "./Parsed";
import { shapeOf, type Shape } from "./shapes";
import { tame } from "./tame";

/** What is shown at first, and more at each press, in UTF-16 units: about a hundred pages. */
const SHOWN = 200_000;

/**
 * A model's Markdown. Raw HTML is shown as the text it is. Images are never loaded: the address
 * of an image can carry words out of a conversation, so a person opens it, or nobody does.
 */
export function Markdown({ text }: { text: string }) {
  const words = useText();
  const language = useLanguage();
  const [limit, setLimit] = useState(SHOWN);
  // Deferred: typing goes before parsing, and of a fast stream some steps may be left out.
  const calm = useDeferredValue(text);
  const blocks = useMemo(() => markdownBlocks(calm.slice(0, limit)), [calm, limit]);
  const left = calm.length - limit;
  return (
    <div className="prose" dir="auto">
      {blocks.map((block, index) => (
        <Block key={index} text={block} />
      ))}
      {left > 0 ? (
        <p className="more">
          {words.prose.long(count(language, left))}{" "}
          <button
            type="button"
            className="button"
            onClick={() => startTransition(() => setLimit(limit + SHOWN))}
          >
            {words.prose.showMore}
          </button>
        </p>
      ) : null}
    </div>
  );
}

const Block = memo(function Block({ text }: { text: string }) {
  const words = useText();
  const language = useLanguage();
  const calm = useMemo(() => tame(text), [text]);
  const shape = useMemo(() => shapeOf(calm.text), [calm]);
  return (
    <>
      <Shaped shape={shape} text={calm.text} whole={text} />
      {calm.left > 0 ? (
        <p className="small soft">{words.prose.marks(count(language, calm.left))}</p>
      ) : null}
    </>
  );
});

function Shaped({ shape, text, whole }: { shape: Shape; text: string; whole: string }) {
  switch (shape.kind) {
    case "code":
      if (shape.language === "math") return <Formula tex={shape.code} display open={shape.open} />;
      return <CodeBlock code={shape.code} language={shape.language} />;
    case "table":
      return <LongTable {...shape} />;
    case "list":
      return <LongList {...shape} />;
    case "plain":
      return <Plain text={whole} why={shape.why} />;
    case "text":
      return <Parsed text={text} part="all" />;
  }
}

function LongList({ ordered, start, loose, items }: Extract<Shape, { kind: "list" }>) {
  const inside = items.map((piece, index) => (
    <Parsed key={index} text={piece} part={loose ? "loose items" : "items"} />
  ));
  return ordered ? <ol start={start}>{inside}</ol> : <ul>{inside}</ul>;
}
