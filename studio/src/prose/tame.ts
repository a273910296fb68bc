/** Combining marks that may stand on one letter: more than any language puts there. */
const STACK = 8;
const STACKED = /(\p{M}{8})\p{M}+/gu;

/**
 * A text whose letters carry no towers of marks: those climb over the lines around them, and
 * laying them out takes seconds. Says how many marks were left out.
 */
export function tame(text: string): { text: string; left: number } {
  let left = 0;
  const tamed = text.replace(STACKED, (run: string, kept: string) => {
    left += [...run].length - STACK;
    return `${kept}\u2026`;
  });
  return { text: left === 0 ? text : tamed, left };
}

/** Signs that turn the direction of what follows, past the end of what they were put in. */
const TURNING = /[\u202a-\u202e]/;
/** The same with isolates, which are honest in prose and hide meaning in code. */
const TURNING_CODE = /[\u202a-\u202e\u2066-\u2069]/;

const NAMES: Record<string, string> = {
  "\u202a": "LRE",
  "\u202b": "RLE",
  "\u202c": "PDF",
  "\u202d": "LRO",
  "\u202e": "RLO",
  "\u2066": "LRI",
  "\u2067": "RLI",
  "\u2068": "FSI",
  "\u2069": "PDI",
};

/** A piece of text, or the Unicode name of a sign that would turn the direction of writing. */
export type Piece = { text: string } | { sign: string };

/** The text with its turning signs taken apart; null when it has none. */
export function turning(text: string, code = false): Piece[] | null {
  const signs = code ? TURNING_CODE : TURNING;
  if (!signs.test(text)) return null;
  return text
    .split(new RegExp(`(${signs.source})`))
    .filter((part) => part !== "")
    .map((part) => (signs.test(part) ? { sign: NAMES[part] ?? part } : { text: part }));
}

/** A line (a title) with its turning signs written out, for places that hold plain text only. */
export function plainLine(text: string): string {
  const pieces = turning(tame(text).text);
  return (
    pieces?.map((piece) => ("sign" in piece ? `[${piece.sign}]` : piece.text)).join("") ?? text
  );
}
