import { Fragment } from "react";

import { turning } from "./tame";

/** Text in which signs that would turn the direction of writing are written out. */
export function Signs({ text, code }: { text: string; code?: boolean }) {
  const pieces = turning(text, code);
  if (!pieces) return text;
  return pieces.map((piece, index) =>
    "sign" in piece ? (
      <span key={index} className="sign">
        {piece.sign}
      </span>
    ) : (
      <Fragment key={index}>{piece.text}</Fragment>
    ),
  );
}
