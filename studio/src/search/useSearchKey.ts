import { useEffect } from "react";
import { useNavigate } from "react-router";

import { belongsToInputMethod } from "../ui/composing";

/** Ctrl+K (Cmd+K) opens the search from everywhere, also out of a field. */
export function useSearchKey(): void {
  const navigate = useNavigate();
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || belongsToInputMethod(event)) return;
      if (event.key.toLowerCase() !== "k" || event.shiftKey || event.altKey) return;
      if (event.ctrlKey === event.metaKey || document.querySelector("dialog[open]:not(.drawer)"))
        return;
      event.preventDefault();
      const field = document.querySelector<HTMLInputElement>("[role=search] input");
      if (field) field.select();
      else void navigate("/search");
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [navigate]);
}
