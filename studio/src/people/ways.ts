import { STORAGE_NAME } from "../settings/settings";

export const SIGN_IN = "/sign-in";

/** The sign-in page's address, which keeps where one wanted to go. */
export function signInFrom(at: { pathname: string; search: string; hash: string }): string {
  const to = at.pathname + at.search + at.hash;
  return to === "/" ? SIGN_IN : `${SIGN_IN}?to=${encodeURIComponent(to)}`;
}

/** Where to go after signing in: only ever a page of this studio. */
export function wantedFrom(search: string, origin: string): string {
  const to = new URLSearchParams(search).get("to") ?? "/";
  try {
    const url = new URL(to, origin);
    if (url.origin !== origin || url.pathname === SIGN_IN || url.pathname.startsWith("//"))
      return "/";
    return url.pathname + url.search + url.hash;
  } catch {
    return "/";
  }
}

/** Under this name stands who used this browser last. */
export const WHOSE = "kataribe.person";
const LOOKS = new Set(["language", "theme", "enterSends"]);

/** Forgets what somebody else wrote and left in this browser; `null`: whoever it was. */
export function keepOnlyOf(person: string | null): void {
  try {
    const before = localStorage.getItem(WHOSE);
    if (person === null || (before !== null && before !== person)) {
      sessionStorage.clear();
      forget();
    }
    if (person === null) localStorage.removeItem(WHOSE);
    else localStorage.setItem(WHOSE, person);
  } catch {
    // Storage is closed, so nothing was left in it.
  }
}

/** Everything goes, drafts and what waits to be sent too, but how this browser looks. */
function forget(): void {
  const settings = localStorage.getItem(STORAGE_NAME);
  for (const name of Object.keys(localStorage))
    if (name.startsWith("kataribe.")) localStorage.removeItem(name);
  const looks = looksOf(settings);
  if (looks !== null) localStorage.setItem(STORAGE_NAME, looks);
}

/** Of saved settings those that say nothing of a person. */
export function looksOf(settings: string | null): string | null {
  try {
    const found: unknown = JSON.parse(settings ?? "null");
    if (typeof found !== "object" || found === null) return null;
    const kept = Object.entries(found).filter(([name]) => LOOKS.has(name));
    return JSON.stringify(Object.fromEntries(kept));
  } catch {
    return null;
  }
}

/** Browser and system as people call them, from what the browser says of itself. */
export function browserOf(agent: string): string {
  const first = (names: [RegExp, string][]) => names.find(([sign]) => sign.test(agent))?.[1];
  // What comes later in the list hides behind what comes first: each claims to be the next.
  const browser = first([
    [/Edg/, "Edge"],
    [/OPR/, "Opera"],
    [/Firefox|FxiOS/, "Firefox"],
    [/Chrome|CriOS|Chromium/, "Chrome"],
    [/Safari/, "Safari"],
  ]);
  const system = first([
    [/Windows/, "Windows"],
    [/iPhone|iPad/, "iOS"],
    [/Android/, "Android"],
    [/Mac OS/, "macOS"],
    [/CrOS/, "ChromeOS"],
    [/Linux/, "Linux"],
  ]);
  return [browser, system].filter(Boolean).join(", ") || agent.slice(0, 60);
}
