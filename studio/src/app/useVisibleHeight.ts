import { useEffect } from "react";

/**
 * Keeps the page inside what can be seen of it while an on-screen keyboard is up.
 *
 * Chromium shrinks the page itself (`interactive-widget=resizes-content`); Safari only moves the
 * visual viewport over it, so its place and height are handed to the style.
 */
export function useVisibleHeight(): void {
  useEffect(() => {
    const view = window.visualViewport;
    if (!view) return;
    const root = document.documentElement;
    let tallest = window.innerHeight;
    let width = window.innerWidth;
    const fit = () => {
      if (window.innerWidth !== width) {
        width = window.innerWidth; // turned round: heights are measured anew
        tallest = window.innerHeight;
      }
      tallest = Math.max(tallest, window.innerHeight);
      const zoomed = view.scale > 1.01;
      const covered = !zoomed && window.innerHeight - view.height > 1;
      if (covered) {
        root.style.setProperty("--view-height", `${view.height}px`);
        root.style.setProperty("--view-top", `${view.offsetTop}px`);
      } else {
        root.style.removeProperty("--view-height");
        root.style.removeProperty("--view-top");
      }
      // A keyboard takes a quarter of the screen and more; a browser's own bars take less.
      const keyboard = !zoomed && matchMedia("(pointer: coarse)").matches;
      root.toggleAttribute("data-keyboard", keyboard && view.height < tallest * 0.75);
    };
    fit();
    view.addEventListener("resize", fit);
    view.addEventListener("scroll", fit);
    return () => {
      view.removeEventListener("resize", fit);
      view.removeEventListener("scroll", fit);
    };
  }, []);
}
