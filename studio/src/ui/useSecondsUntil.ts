import { useEffect, useState } from "react";

import { steadyNow } from "../conversation/clock";

/** Whole seconds until `moment` (of `steadyNow()`), while they pass; 0 where there is none. */
export function useSecondsUntil(moment: number | null): number {
  const [seconds, setSeconds] = useState(() => secondsUntil(moment));
  useEffect(() => {
    if (moment === null) return;
    const tell = () => setSeconds(secondsUntil(moment));
    tell();
    const timer = setInterval(tell, 250);
    return () => clearInterval(timer);
  }, [moment]);
  return moment === null ? 0 : seconds;
}

function secondsUntil(moment: number | null): number {
  return moment === null ? 0 : Math.max(0, Math.ceil((moment - steadyNow()) / 1000));
}
