import { useSyncExternalStore } from "react";

/** Where two columns have room beside the rail. */
const QUERY = "(min-width: 1000px)";

function subscribe(listener: () => void): () => void {
  const query = matchMedia(QUERY);
  query.addEventListener("change", listener);
  return () => query.removeEventListener("change", listener);
}

/** Whether the page is wide enough to write and try side by side. */
export function useWide(): boolean {
  return useSyncExternalStore(subscribe, () => matchMedia(QUERY).matches);
}
