import { memo } from "react";

import type { Piece } from "../api/tokenizers";
import { useText } from "../i18n";
import { visible } from "../inside/pieces";

/** The tokens of a text side by side, each in one of four colours, with its number as a hint. */
export const PieceFlow = memo(function PieceFlow({ pieces }: { pieces: readonly Piece[] }) {
  const text = useText();
  return (
    <ol className="pieces" aria-label={text.tokenizers.pieces} translate="no">
      {pieces.map((piece, at) => (
        <li
          // The same piece may come again: its place is what it is.
          key={at}
          className={piece.special ? "special" : `p${at % 4}`}
          title={`${piece.id} ${piece.piece}`}
        >
          {visible(piece.text)}
        </li>
      ))}
    </ol>
  );
});
