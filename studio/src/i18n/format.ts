import type { Language } from "./catalogue";

const formats = new Map<string, Intl.NumberFormat>();

function format(language: Language, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = language + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) formats.set(key, (found = new Intl.NumberFormat(language, options)));
  return found;
}

/** A count, exactly: 1,024. */
export function count(language: Language, value: number): string {
  return format(language, { maximumFractionDigits: 0 }).format(value);
}

/** A measured number with `digits` decimals. */
export function decimal(language: Language, value: number, digits = 1): string {
  return format(language, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value);
}

/** Bytes in the unit that a person would say: 98.4 MB. */
export function bytes(language: Language, value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (value >= 1000 && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${decimal(language, value, step === 0 ? 0 : 1)} ${units[step] ?? ""}`;
}

/** A share as whole percent: 43%. */
export function percent(language: Language, share: number): string {
  return format(language, { style: "percent", maximumFractionDigits: 0 }).format(share);
}

/** A large count as one says it: 12.3M. */
export function compact(language: Language, value: number): string {
  return format(language, { notation: "compact", maximumSignificantDigits: 3 }).format(value);
}

/** Nats or bits: three decimals are more than one run differs from the next. */
export function bits(language: Language, value: number): string {
  return decimal(language, value, 3);
}

/** A small number with three digits that count: 0.000823. */
export function short(language: Language, value: number): string {
  return format(language, { maximumSignificantDigits: 3 }).format(value);
}

/** A share in percent, cut to one decimal: what is not all is never said to be. */
export function percentCut(language: Language, share: number): string {
  return format(language, { style: "percent", maximumFractionDigits: 1 }).format(
    Math.floor(share * 1000) / 1000,
  );
}
