import type { Failure } from "../api/errors";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { useSecondsUntil } from "../ui/useSecondsUntil";

/** What to say of a call that failed, and how many seconds to wait before the next. */
export function useFault(failure: Failure | null, wrong: string): { fault: string; wait: number } {
  const text = useText();
  const language = useLanguage();
  const wait = useSecondsUntil(failure?.kind === "busy" ? failure.retryAt : null);
  if (failure === null) return { fault: "", wait: 0 };
  if (failure.kind === "key") return { fault: wrong, wait };
  if (failure.kind === "busy")
    return {
      fault: wait > 0 ? text.people.wait(count(language, wait)) : text.people.waited,
      wait,
    };
  const { what, why } = text.error[failure.kind];
  return { fault: [what, failure.kind === "refused" ? failure.said : why].join(" "), wait };
}
