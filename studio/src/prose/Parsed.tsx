import { memo, useId, useMemo } from "react";

import { useText } from "../i18n";
import { COMPONENTS } from "./components";
import { parsed, type Part } from "./parse";
import type { Shape } from "./shapes";
import { Signs } from "./Signs";
import { tame } from "./tame";

/** A piece of Markdown; as it is written where it cannot be taken. */
export const Parsed = memo(function Parsed({ text, part }: { text: string; part: Part }) {
  const id = useId();
  const page = useMemo(() => parsed(text, part, id, COMPONENTS), [text, part, id]);
  return page ?? <Plain text={text} why="deep" />;
});

type Why = Extract<Shape, { kind: "plain" }>["why"];

/** Words as they came, and why they are shown so. */
export function Plain({ text, why }: { text: string; why: Why }) {
  const words = useText();
  const calm = useMemo(() => tame(text).text, [text]);
  const said = { long: words.prose.plainLong, deep: words.prose.plainDeep };
  return (
    <div className="plain">
      <p className="small soft">{why === "knotty" ? words.prose.plainKnotty : said[why]}</p>
      <p className="words">
        <Signs text={calm} />
      </p>
    </div>
  );
}
