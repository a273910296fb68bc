import type { Language } from "../i18n/catalogue";

/** A moment (seconds since 1970) as a person would write it. */
export function moment(language: Language, seconds: number): string {
  const format = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  return format.format(new Date(seconds * 1000));
}
