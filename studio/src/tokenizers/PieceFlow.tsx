import { memo } from "react";

import type { Piece } from "../api/tokenizers";
import { useText } from "../i18n";
import { inline, visible } from "../inside/pieces";

interface Props {
  pieces: readonly Piece[];
  /** Their ids stand below them, with the vocabulary's own way to write them. */
  numbered: boolean;
}

/** The tokens of a text side by side, each in one of four colours. */
export const PieceFlow = memo(function PieceFlow({ pieces, numbered }: Props) {
  const text = useText();
  return (
    <ol
      className={numbered ? "pieces numbered" : "pieces"}
      aria-label={text.tokenizers.pieces}
      translate="no"
    >
      {pieces.map((piece, at) => (
        <li
          // The same piece may come again: its place is what it is.
          key={at}
          className={piece.special ? "special" : `p${at % 4}`}
          title={`${piece.id} ${piece.piece}`}
        >
          {numbered ? (
            <>
              <span>{inline(piece.text)}</span>
              <small className="numbers">{piece.id}</small>
              {piece.piece === piece.text ? null : <small>{piece.piece}</small>}
            </>
          ) : (
            visible(piece.text)
          )}
        </li>
      ))}
    </ol>
  );
});

/** Whether the ids are shown: also where there is no mouse to rest on a piece. */
export function NumberedBox({ on, onChange }: { on: boolean; onChange: (on: boolean) => void }) {
  const text = useText();
  return (
    <label className="check">
      <input type="checkbox" checked={on} onChange={(event) => onChange(event.target.checked)} />
      {text.tokenizers.ids}
    </label>
  );
}
