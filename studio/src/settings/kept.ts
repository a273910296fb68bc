import type { Values } from "../api/preferences";
import { parseSettings, type Settings } from "./settings";

/** What the server keeps, by its names there. The key of the server itself stays in the browser. */
const NAMES = {
  language: "language",
  theme: "theme",
  enterSends: "enter_sends",
  model: "model",
  system: "system",
  sampling: "sampling",
  presets: "presets",
  dismissed: "dismissed",
} as const satisfies Partial<Record<keyof Settings, string>>;

export type KeptName = keyof typeof NAMES;
const ALL = Object.keys(NAMES) as KeptName[];

/** Which of the changed settings the server is to keep. */
export function keptNames(part: Partial<Settings>): KeptName[] {
  return ALL.filter((name) => name in part);
}

/** Settings as the server is told of them. */
export function toValues(settings: Settings, names: Iterable<KeptName>): Values {
  const values: Values = {};
  for (const name of names) values[NAMES[name]] = settings[name] === "" ? null : settings[name];
  return values;
}

/**
 * The settings with what the server keeps. What it never heard of stays as it is here, and so does
 * what it has not been told yet (`waiting`). What it holds is read as carefully as a file.
 */
export function fromValues(
  settings: Settings,
  values: Values,
  waiting: ReadonlySet<string>,
): Settings {
  const found: Record<string, unknown> = { ...settings };
  for (const name of ALL)
    if (NAMES[name] in values && !waiting.has(name)) found[name] = values[NAMES[name]];
  return { ...parseSettings(JSON.stringify(found), settings.language), key: settings.key };
}
