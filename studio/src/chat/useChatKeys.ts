import { useLayoutEffect, useRef, type RefObject } from "react";

import { belongsToInputMethod } from "../ui/composing";
import { hasModifier, isTyping } from "../ui/keys";

/**
 * `/` goes to the composer, Esc stops a reply.
 *
 * Layout effects: a key that is pressed as soon as the words are seen must not fall between two
 * pages, of which one has stopped to listen and the other has not begun.
 */
export function useChatKeys(
  field: RefObject<HTMLTextAreaElement | null>,
  stop: (() => void) | null,
): void {
  const latest = useRef(stop);
  useLayoutEffect(() => {
    latest.current = stop;
  });
  useLayoutEffect(() => {
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
