import { useEffect, useSyncExternalStore } from "react";

import type { colour } from "./languages";

/** The colouring of code, fetched once when the first code is shown that names its language. */
let found: typeof colour | null = null;
let asked = false;
const waiting = new Set<() => void>();

function subscribe(tell: () => void): () => void {
  waiting.add(tell);
  return () => waiting.delete(tell);
}

/** The function that colours; null until it is there, or where it is not wanted. */
export function useColouring(wanted: boolean): typeof colour | null {
  useEffect(() => {
    if (!wanted || asked) return;
    asked = true;
    import("./languages").then(
      (module) => {
        found = module.colour;
        for (const tell of waiting) tell();
      },
      () => {
        asked = false; // the server is away: the next code asks again
      },
    );
  }, [wanted]);
  return useSyncExternalStore(
    subscribe,
    () => (wanted ? found : null),
    () => null,
  );
}
