import type { en } from "./en";

/** English gives the shape; every other language fills it with texts of the same parameters. */
type Shape<T> = T extends string
  ? string
  : T extends (...args: infer A) => string
    ? (...args: A) => string
    : { [K in keyof T]: Shape<T[K]> };

export type Catalogue = Shape<typeof en>;
export type Language = "en" | "ja";
export const LANGUAGES: readonly Language[] = ["en", "ja"];
/** Each language named in itself. */
export const LANGUAGE_NAMES: Record<Language, string> = { en: "English", ja: "日本語" };
