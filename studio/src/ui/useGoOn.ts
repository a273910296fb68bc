import { useCallback, useEffect, useRef, type RefCallback } from "react";

/** Where the focus goes on; asked when what had it has gone. */
type Where = () => HTMLElement | null | undefined;

/**
 * A ref for what may go while it has the focus, as a button does that its own press takes away.
 *
 * `next` is asked while it still stands, so that it can look around; what it gives is asked when
 * the page has changed. A place that the focus has found by itself is left to it.
 */
export function useGoOn(next: (gone: HTMLElement) => Where): RefCallback<HTMLElement> {
  const latest = useRef(next);
  useEffect(() => {
    latest.current = next;
  });
  return useCallback((element: HTMLElement | null) => {
    if (!element) return;
    return () => {
      if (!element.contains(document.activeElement)) return;
      const where = latest.current(element);
      // Not at once: what it goes on to may come with the next round.
      const timer = setTimeout(() => {
        if (isLost()) where()?.focus();
      });
      // A field that came in its place has the focus by now; then nothing is left to be done.
      queueMicrotask(() => {
        if (!isLost()) clearTimeout(timer);
      });
    };
  }, []);
}

function isLost(): boolean {
  return document.activeElement === document.body;
}
