/** Calls `run` when the browser has nothing to do, soon in any case; gives what takes it back. */
export function whenIdle(run: () => void): () => void {
  if ("requestIdleCallback" in window) {
    const handle = requestIdleCallback(run, { timeout: 300 });
    return () => cancelIdleCallback(handle);
  }
  const timer = setTimeout(run, 50); // Safari
  return () => clearTimeout(timer);
}
