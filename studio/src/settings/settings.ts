import { LANGUAGES, type Language } from "../i18n/catalogue";
import { within, type Range } from "./numbers";

export type Theme = "auto" | "light" | "dark";

/** How replies are drawn; a field that is null is left to the model's own default. */
export interface Sampling {
  temperature: number | null;
  topP: number | null;
  maxTokens: number | null;
}

/** Sampling under a name. */
export interface Preset {
  name: string;
  sampling: Sampling;
}

export interface Settings {
  language: Language;
  theme: Theme;
  /** Whether Enter sends; otherwise it breaks the line and Ctrl+Enter sends. */
  enterSends: boolean;
  /** Key that this server was started with; null when it asks for none. */
  key: string | null;
  /** Model that was last chosen. */
  model: string | null;
  /** Text that every new conversation begins with, unseen; empty for none. */
  system: string;
  sampling: Sampling;
  presets: readonly Preset[];
  /** Notices that were closed, by name. */
  dismissed: readonly string[];
}

/** UTF-16 units of a system text, so that it stays within the server's 64 KiB for a value. */
export const SYSTEM_LENGTH = 16_000;
export const PRESET_LENGTH = 60;
export const MOST_PRESETS = 50;

export const STORAGE_NAME = "kataribe.settings";

/** What the server takes; fields and storage are held to the same. */
export const RANGES = {
  temperature: { low: 0, high: 2 },
  topP: { low: 0, high: 1, open: true },
  maxTokens: { low: 1, high: 2 ** 31 - 1, whole: true },
} satisfies Record<keyof Sampling, Range>;

export function defaults(browserLanguage: string): Settings {
  return {
    language: browserLanguage.toLowerCase().startsWith("ja") ? "ja" : "en",
    theme: "auto",
    enterSends: true,
    key: null,
    model: null,
    system: "",
    presets: [],
    sampling: { temperature: null, topP: null, maxTokens: null },
    dismissed: [],
  };
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

/** Whether a key can be sent: a header holds nothing else, and `fetch` fails as if offline. */
export function isKey(value: unknown): value is string {
  return isText(value) && /^[\x21-\x7e]+$/.test(value);
}

/** Settings from what storage held: whatever is missing or not understood takes its default. */
export function parseSettings(saved: string | null, browserLanguage: string): Settings {
  const base = defaults(browserLanguage);
  let found: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(saved ?? "{}");
    if (typeof parsed !== "object" || parsed === null) return base;
    found = parsed as Record<string, unknown>;
  } catch {
    return base;
  }
  const dismissed = found["dismissed"];
  return {
    language: LANGUAGES.find((language) => language === found["language"]) ?? base.language,
    theme: found["theme"] === "light" || found["theme"] === "dark" ? found["theme"] : "auto",
    enterSends: found["enterSends"] !== false,
    key: isKey(found["key"]) ? found["key"] : null,
    model: isText(found["model"]) ? found["model"] : null,
    system: isText(found["system"]) ? found["system"].slice(0, SYSTEM_LENGTH) : "",
    sampling: parseSampling(found["sampling"]),
    presets: parsePresets(found["presets"]),
    dismissed: Array.isArray(dismissed) ? dismissed.filter(isText) : [],
  };
}

function parseSampling(saved: unknown): Sampling {
  const found = (typeof saved === "object" && saved !== null ? saved : {}) as Record<
    string,
    unknown
  >;
  return {
    temperature: within(found["temperature"], RANGES.temperature),
    topP: within(found["topP"], RANGES.topP),
    maxTokens: within(found["maxTokens"], RANGES.maxTokens),
  };
}

function parsePresets(saved: unknown): Preset[] {
  if (!Array.isArray(saved)) return [];
  const presets = new Map<string, Preset>();
  for (const one of saved as unknown[]) {
    const { name, sampling } = (one ?? {}) as { name?: unknown; sampling?: unknown };
    if (!isText(name) || name.length > PRESET_LENGTH) continue;
    presets.set(name, { name, sampling: parseSampling(sampling) });
  }
  return [...presets.values()].slice(0, MOST_PRESETS);
}

/** The presets with one more, or with a new meaning for its name. */
export function withPreset(presets: readonly Preset[], preset: Preset): Preset[] {
  return [...presets.filter((one) => one.name !== preset.name), preset].sort((one, other) =>
    one.name.localeCompare(other.name),
  );
}

export function sameSampling(one: Sampling, other: Sampling): boolean {
  return (
    one.temperature === other.temperature &&
    one.topP === other.topP &&
    one.maxTokens === other.maxTokens
  );
}
