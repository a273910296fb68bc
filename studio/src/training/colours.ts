import { SERIES } from "./useColours";

/** A number that an id always gives (FNV-1a). */
function hash(id: string): number {
  let found = 0x811c9dc5;
  for (const letter of id) found = Math.imul(found ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  return found >>> 0;
}

/**
 * A colour for each run, by its place among the series: the run's own on every page, whatever it is
 * shown beside. Two that want the same one are parted in the order of their ids.
 */
export function coloursOf(runs: readonly { id: string }[]): Map<string, number> {
  const taken = new Map<string, number>();
  const used = new Set<number>();
  for (const id of [...new Set(runs.map((run) => run.id))].sort()) {
    let colour = hash(id) % SERIES;
    if (used.size < SERIES) while (used.has(colour)) colour = (colour + 1) % SERIES;
    used.add(colour);
    taken.set(id, colour);
  }
  return taken;
}
