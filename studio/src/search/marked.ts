/** A piece of a snippet, and whether it is what was looked for. */
export interface Marked {
  text: string;
  found: boolean;
}

/** A snippet cut at its marks, which count characters and not UTF-16 units. */
export function marked(snippet: string, marks: readonly (readonly [number, number])[]): Marked[] {
  const characters = [...snippet];
  const pieces: Marked[] = [];
  let at = 0;
  const take = (to: number, found: boolean) => {
    if (to > at) pieces.push({ text: characters.slice(at, to).join(""), found });
    at = Math.max(at, to);
  };
  for (const [start, end] of [...marks].sort((one, other) => one[0] - other[0])) {
    take(Math.min(start, characters.length), false);
    take(Math.min(end, characters.length), true);
  }
  take(characters.length, false);
  return pieces;
}
