import { startTransition, useState } from "react";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { Parsed } from "./Parsed";

interface Props {
  head: string;
  /** Pieces of rows, as they are parsed together. */
  rows: readonly string[];
  /** Rows in all. */
  count: number;
}

/** Pieces that are shown at first. */
const FIRST = 2;

/** A long table, in pieces; what is far down is made only when it is asked for. */
export function LongTable({ head, rows, count: all }: Props) {
  const text = useText();
  const language = useLanguage();
  const [whole, setWhole] = useState(false);
  const cut = !whole && rows.length > FIRST;
  return (
    <>
      <div className="wide" tabIndex={0}>
        <table>
          <thead>
            <Parsed text={head} part="head" />
          </thead>
          {(cut ? rows.slice(0, FIRST) : rows).map((piece, index) => (
            <tbody key={index}>
              <Parsed text={`${head}\n${piece}`} part="rows" />
            </tbody>
          ))}
        </table>
      </div>
      {cut ? (
        <p className="more">
          <button
            type="button"
            className="button"
            onClick={() => startTransition(() => setWhole(true))}
          >
            {text.prose.allRows(count(language, all))}
          </button>
        </p>
      ) : null}
    </>
  );
}
