/** A number field's text as a value: null when empty, undefined when it is not a number in range. */
export function readNumber(text: string, range: Range): number | null | undefined {
  // Digits of full width come from Japanese input methods and mean the same.
  const plain = text.normalize("NFKC").trim();
  if (plain === "") return null;
  if (!/^\d*\.?\d+$|^\d+\.$/.test(plain)) return undefined;
  return within(Number(plain), range) ?? undefined;
}

/** The value, if it is a number in range; null otherwise. */
export function within(value: unknown, { low, high, whole, open }: Range): number | null {
  if (typeof value !== "number" || !(value >= low && value <= high)) return null;
  if ((open && value === low) || (whole && !Number.isInteger(value))) return null;
  return value;
}

export interface Range {
  low: number;
  high: number;
  /** Only whole numbers. */
  whole?: boolean;
  /** `low` itself is not allowed. */
  open?: boolean;
}
