import { useSyncExternalStore } from "react";

/** Where the rail is a bar at the bottom; `styles/shell.css` says the same. */
const QUERY = "(max-width: 640px)";

function subscribe(listener: () => void): () => void {
  const query = matchMedia(QUERY);
  query.addEventListener("change", listener);
  return () => query.removeEventListener("change", listener);
}

/** Whether the window is as narrow as a phone. */
export function usePhone(): boolean {
  return useSyncExternalStore(subscribe, () => matchMedia(QUERY).matches);
}
