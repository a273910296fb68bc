import type { World } from "./chats";

export const browserWorld: World = {
  newId,
  soon: (run) => {
    // A hidden page draws no frames, but its title still follows.
    if (document.visibilityState === "visible") requestAnimationFrame(run);
    else setTimeout(run, 100);
  },
  after: (ms, run) => {
    setTimeout(run, ms);
  },
};

/** Enough chance that two never meet; `randomUUID` is missing where a page is not served safely. */
export function newId(): string {
  const parts = crypto.getRandomValues(new Uint32Array(3));
  return Array.from(parts, (part) => part.toString(36).padStart(7, "0")).join("");
}
