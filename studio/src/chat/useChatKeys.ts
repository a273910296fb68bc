import { useEffect, useRef, type RefObject } from "react";

import { belongsToInputMethod } from "./composing";

/** `/` goes to the composer, Esc stops a reply. */
export function useChatKeys(
  field: RefObject<HTMLTextAreaElement | null>,
  stop: (() => void) | null,
): void {
  const latest = useRef(stop);
  useEffect(() => {
    latest.current = stop;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || belongsToInputMethod(event)) return;
      if (document.querySelector("dialog[open]")) return; // keys belong to it
      if (event.key === "Escape" && latest.current) {
        event.preventDefault();
        latest.current();
        field.current?.focus();
      }
      if (event.key === "/" && !isTyping(event.target) && !hasModifier(event)) {
        event.preventDefault();
        field.current?.focus();
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [field]);
}

export function hasModifier(event: KeyboardEvent): boolean {
  return event.ctrlKey || event.metaKey || event.altKey;
}

/** Whether keys go into a field, where `/` and `?` are just characters. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches("input, textarea, select"))
  );
}
