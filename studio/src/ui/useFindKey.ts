import { useEffect, type RefObject } from "react";

import { belongsToInputMethod } from "./composing";
import { hasModifier, isTyping } from "./keys";

/** `/` goes to the search field. */
export function useFindKey(search: RefObject<HTMLInputElement | null>) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.defaultPrevented || belongsToInputMethod(event)) return;
      if (isTyping(event.target) || hasModifier(event)) return;
      if (document.querySelector("dialog[open]")) return; // keys belong to it
      event.preventDefault();
      search.current?.focus();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [search]);
}
