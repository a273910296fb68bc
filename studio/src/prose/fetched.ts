import { useEffect, useSyncExternalStore } from "react";

/** Gives what a module has; null until it is there, or where it is not wanted. */
type UseFetched<T> = (wanted: boolean) => T | null;

/** Something that is fetched once, when it is first wanted, and from then on is there at once. */
export function fetchedOnce<T>(fetch: () => Promise<T>): UseFetched<T> {
  let found: T | null = null;
  let asked = false;
  const waiting = new Set<() => void>();
  const subscribe = (tell: () => void) => {
    waiting.add(tell);
    return () => waiting.delete(tell);
  };
  return function useFetched(wanted) {
    useEffect(() => {
      if (!wanted || asked) return;
      asked = true;
      fetch().then(
        (it) => {
          found = it;
          for (const tell of waiting) tell();
        },
        () => {
          asked = false; // the server is away: whoever wants it next asks again
        },
      );
    }, [wanted]);
    return useSyncExternalStore(
      subscribe,
      () => (wanted ? found : null),
      () => null,
    );
  };
}
