import type { Alternative, Inside, Token } from "../api/inside";

/** Bits of uncertainty from which a line gets thicker; below the first there is none. */
export const STEPS = [0.5, 1.5, 3, 5] as const;

/** How unsure the model was, in steps from 0 (sure) to 4. */
export function level(bits: number): number {
  return STEPS.filter((step) => bits >= step).length;
}

/** A token's text so that blanks and line ends can be seen. */
export function visible(text: string): string {
  return text
    .replace(/\r/g, "␍")
    .replace(/\n/g, "⏎\n")
    .replace(/\t/g, "⇥\t")
    .replace(/^ +| +$/g, (blanks) => "␣".repeat(blanks.length));
}

/** A token as one word of a list: no line ends that would break it. */
export function inline(piece: string): string {
  return visible(piece).replace(/[\n\t]/g, "");
}

/**
 * The words that a reply goes on from when `other` stands in place of `token`; null where it cannot:
 * inside a thought, inside a character, or with a token that is no text.
 */
export function beginning(
  inside: Inside,
  token: Token,
  other: Pick<Alternative, "piece" | "kind">,
) {
  if (other.kind !== "text" || !token.whole || token.start < inside.words_from) return null;
  const letters = Array.from(inside.text); // the server counts characters, not UTF-16 units
  const before = inside.begun + letters.slice(inside.words_from, token.start).join("");
  // Some vocabularies put a space in front of every text, which is none in the reply.
  const bare = token.piece.startsWith(" ") && token.kind === "text" && token.shown[0] !== " ";
  return before + (bare ? other.piece.replace(/^ /, "") : other.piece);
}

/** `text` cut at its marks: every second part is a control token. */
export function cutAt(text: string, marks: readonly (readonly [number, number])[]): string[] {
  const letters = Array.from(text);
  const parts: string[] = [];
  let at = 0;
  for (const [start, end] of marks) {
    parts.push(letters.slice(at, start).join(""), letters.slice(start, end).join(""));
    at = end;
  }
  return [...parts, letters.slice(at).join("")];
}

/**
 * The tokens that look back: all but the one that ended the reply, which was drawn and never read.
 * Nothing is left out before it, so that their places are those that the server counts.
 */
export function lookers({ tokens, total }: Pick<Inside, "tokens" | "total">): readonly Token[] {
  const ended = tokens.length === total && tokens.at(-1)?.kind === "control";
  return ended ? tokens.slice(0, -1) : tokens;
}

/** Where the arrow keys lead among `count` tokens; null for other keys. */
export function moved(
  key: string,
  at: number,
  count: number,
  line: (down: boolean) => number,
): number | null {
  const last = count - 1;
  switch (key) {
    case "ArrowLeft":
      return Math.max(0, at - 1);
    case "ArrowRight":
      return Math.min(last, at + 1);
    case "ArrowUp":
      return line(false);
    case "ArrowDown":
      return line(true);
    case "Home":
      return 0;
    case "End":
      return last;
    default:
      return null;
  }
}
