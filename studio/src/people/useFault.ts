import { useEffect, useState } from "react";

import type { Failure } from "../api/errors";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";

/** What to say of a call that failed, and how many seconds to wait before the next. */
export function useFault(failure: Failure | null, wrong: string): { fault: string; wait: number } {
  const text = useText();
  const language = useLanguage();
  const until = failure?.kind === "busy" ? failure.retryAt : null;
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (until === null) return;
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [until]);
  const wait = until === null ? 0 : Math.max(0, Math.ceil((until - now) / 1000));
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
