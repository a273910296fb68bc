import { LANGUAGES, type Language } from "../i18n/catalogue";

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

export const LIMITS = { temperature: [0, 2], topP: [0, 1], maxTokens: [1, 2 ** 31 - 1] } as const;

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

function within(value: unknown, [low, high]: readonly [number, number]): number | null {
  return typeof value === "number" && value >= low && value <= high ? value : null;
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
    key: isText(found["key"]) ? found["key"] : null,
    model: isText(found["model"]) ? found["model"] : null,
    sampling: {
      temperature: within(sampling["temperature"], LIMITS.temperature),
      topP: within(sampling["topP"], LIMITS.topP),
      maxTokens: within(sampling["maxTokens"], LIMITS.maxTokens),
    },
    dismissed: Array.isArray(dismissed) ? dismissed.filter(isText) : [],
  };
}
