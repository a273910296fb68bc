import type { CatalogModel } from "../api/catalog";
import type { Catalogue, Language } from "../i18n/catalogue";
import { count } from "../i18n/format";
import { wordFor } from "../jobs/words";

/** Languages named before the others are only counted. */
const NAMED = 4;

/** The name of a language in the reader's own; the code itself where no name is known. */
export function languageName(language: Language, code: string): string {
  try {
    return new Intl.DisplayNames(language, { type: "language" }).of(code) ?? code;
  } catch {
    return code; // no code of a language
  }
}

export function languageNames(text: Catalogue, language: Language, codes: string[]): string {
  // The reader's own language first: it is what they look for.
  const sorted = [...codes].sort((a, b) => Number(b === language) - Number(a === language));
  const names = sorted.slice(0, NAMED).map((code) => languageName(language, code));
  const rest = codes.length - names.length;
  if (rest > 0) names.push(text.models.languagesMore(count(language, rest)));
  return names.join(language === "ja" ? "、" : ", ");
}

/** What a model is for, in one line. */
export function purposeOf(text: Catalogue, language: Language, card: CatalogModel): string {
  const purpose = wordFor(text.models.purposes, card.task);
  if (card.languages.length === 0) return purpose;
  const names = languageNames(text, language, card.languages);
  return language === "ja" ? `${purpose}（${names}）` : `${purpose} (${names})`;
}

/** A card's line for the person who chooses, and the language that it is in; null for none. */
export function noteOf(
  language: Language,
  card: CatalogModel | null,
): { words: string; lang: Language } | null {
  if (!card) return null;
  if (language === "ja" && card.summary_ja !== "") return { words: card.summary_ja, lang: "ja" };
  return card.summary === "" ? null : { words: card.summary, lang: "en" };
}

/** Parameters as people say them: 1.5B, 135M. */
export function parametersOf(language: Language, value: number): string {
  const [divided, unit] = value >= 1e9 ? [value / 1e9, "B"] : [value / 1e6, "M"];
  const digits = divided >= 10 ? 0 : 1;
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(divided) + unit;
}
