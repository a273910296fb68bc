import { useEffect, useState } from "react";

/** Whole seconds since `start` (of `performance.now()`); stands still while that is null. */
export function useSeconds(start: number | null): number {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    if (start === null) return;
    const tell = () => setSeconds(Math.max(0, Math.floor((performance.now() - start) / 1000)));
    tell();
    const timer = setInterval(tell, 250);
    return () => clearInterval(timer);
  }, [start]);
  return seconds;
}
