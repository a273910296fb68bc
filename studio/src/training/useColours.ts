import { useEffect, useState } from "react";

/** The page's colours as a canvas takes them. */
export interface Colours {
  ink: string;
  line: string;
  band: string;
  series: readonly string[];
}

export const SERIES = 6;

function read(): Colours {
  const probe = document.createElement("span");
  document.body.append(probe);
  const of = (name: string) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = {
    ink: of("--ink-soft"),
    line: of("--line"),
    band: of("--accent-soft"),
    series: Array.from({ length: SERIES }, (_, at) => of(`--series-${at + 1}`)),
  };
  probe.remove();
  return colours;
}

/** Read anew when the theme changes, by the system or by the settings. */
export function useColours(): Colours {
  const [colours, setColours] = useState(read);
  useEffect(() => {
    const tell = () => setColours(read());
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", tell);
    const own = new MutationObserver(tell);
    own.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      system.removeEventListener("change", tell);
      own.disconnect();
    };
  }, []);
  return colours;
}
