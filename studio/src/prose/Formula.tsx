import { useEffect, useRef, useState } from "react";

import { useText } from "../i18n";

interface Props {
  tex: string;
  /** On a line of its own. */
  display?: boolean;
}

/** Longest formula that is drawn, in UTF-16 units. */
const LONGEST = 4000;

/**
 * A formula as MathML, which the browser itself lays out and screen readers read. Its source stands
 * there until it is drawn, and stays when it is none.
 */
export function Formula({ tex, display = false }: Props) {
  const text = useText();
  const place = useRef<HTMLElement>(null);
  const [drawn, setDrawn] = useState<string | null>(null);
  const source = `${tex} ${String(display)}`;
  useEffect(() => {
    if (tex.length > LONGEST) return;
    let here = true;
    void import("./mathml").then(
      ({ draw }) => {
        if (here && place.current) setDrawn(draw(tex, display, place.current) ? source : null);
      },
      () => undefined, // the server is away: the source stays
    );
    return () => {
      here = false;
    };
  }, [tex, display, source]);
  const done = drawn === source;
  return (
    <span className={display ? "formula display" : "formula"} tabIndex={display ? 0 : undefined}>
      {done ? null : (
        <code translate="no" dir="ltr" title={text.prose.source}>
          {tex}
        </code>
      )}
      <span ref={place} hidden={!done} translate="no" />
    </span>
  );
}
