import { LANGUAGES, type Language } from "../i18n/catalogue";
import { within, type Range } from "./numbers";

export type Theme = "auto" | "light" | "dark";

/** How replies are drawn; a field that is null is left to the model's own default. */
export interface Sampling {
  temperature: number | null;
  topP: number | null;
  maxTokens: number | null;
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
  sampling: Sampling;
  /** Notices that were closed, by name. */
  dismissed: readonly string[];
}

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
  const sampling = (found["sampling"] ?? {}) as Record<string, unknown>;
  const dismissed = found["dismissed"];
  return {
    language: LANGUAGES.find((language) => language === found["language"]) ?? base.language,
    theme: found["theme"] === "light" || found["theme"] === "dark" ? found["theme"] : "auto",
    enterSends: found["enterSends"] !== false,
    key: isKey(found["key"]) ? found["key"] : null,
    model: isText(found["model"]) ? found["model"] : null,
    sampling: {
      temperature: within(sampling["temperature"], RANGES.temperature),
      topP: within(sampling["topP"], RANGES.topP),
      maxTokens: within(sampling["maxTokens"], RANGES.maxTokens),
    },
    dismissed: Array.isArray(dismissed) ? dismissed.filter(isText) : [],
  };
}
