import { useLayoutEffect, useMemo, useRef } from "react";

import { useText } from "../i18n";
import { fetchedOnce } from "./fetched";

interface Props {
  tex: string;
  /** On a line of its own. */
  display?: boolean;
  /** Its end has not come yet: more of it may follow. */
  open?: boolean;
}

/** Longest formula that is drawn, in UTF-16 units. */
const LONGEST = 4000;

const useDrawing = fetchedOnce(async () => (await import("./mathml")).draw);

/**
 * A formula as MathML, which the browser itself lays out and screen readers read. Its source stands
 * there until its end has come, and stays when it is no formula: so it changes once, and does not
 * go back and forth while it is written.
 */
export function Formula({ tex, display = false, open = false }: Props) {
  const text = useText();
  const place = useRef<HTMLElement>(null);
  const draw = useDrawing(!open && tex.length <= LONGEST);
  const drawn = useMemo(() => draw?.(tex, display) ?? null, [draw, tex, display]);
  useLayoutEffect(() => {
    place.current?.replaceChildren(...(drawn ? [drawn] : []));
  }, [drawn]);
  return (
    <span className={display ? "formula display" : "formula"} tabIndex={display ? 0 : undefined}>
      {drawn ? null : (
        <code translate="no" dir="ltr" title={text.prose.source}>
          {tex}
        </code>
      )}
      <span ref={place} hidden={!drawn} translate="no" />
    </span>
  );
}
