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
      // Not at once: what comes in its place may come with the next round.
      setTimeout(() => {
        if (document.activeElement === document.body) where()?.focus();
      });
    };
  }, []);
}
