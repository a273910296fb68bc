import { parseSettings, STORAGE_NAME, type Settings } from "./settings";

/** Names of settings that the server has not been told of; they outlive a reload. */
const WAITING_NAME = "kataribe.settings.waiting";

/** What storage did not take (it is full, or closed in a private window): kept for this page. */
const unkept = new Map<string, string>();

function item(name: string): string | null {
  const here = unkept.get(name);
  if (here !== undefined) return here;
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // defaults serve
  }
}

function put(name: string, value: string): boolean {
  try {
    localStorage.setItem(name, value);
    unkept.delete(name);
    return true;
  } catch {
    unkept.set(name, value);
    return false;
  }
}

export function readLocal(): Settings {
  return parseSettings(item(STORAGE_NAME), navigator.language);
}

/** Whether the browser took them. */
export function writeLocal(settings: Settings): boolean {
  return put(STORAGE_NAME, JSON.stringify(settings));
}

export function readWaiting(): Set<string> {
  return new Set((item(WAITING_NAME) ?? "").split(" ").filter((name) => name !== ""));
}

export function writeWaiting(names: ReadonlySet<string>): void {
  put(WAITING_NAME, [...names].join(" "));
}
