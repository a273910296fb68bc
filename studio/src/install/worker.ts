/**
 * Lets the studio open without the server, and be installed. Only in a built page, and only where
 * browsers allow it (https, or this machine); without it everything else works.
 */
export function registerWorker(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  window.addEventListener("load", () => {
    navigator.serviceWorker.register("/sw.js").catch(() => undefined); // refused: a private window
  });
}
