/**
 * Milliseconds since 1970 when the page was opened, counted on from there: unlike `Date.now()` it
 * never jumps, so differences are true although the machine's clock is set meanwhile.
 */
export function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}
