/** A number field's text as a value: null when empty, undefined when it is not a number in range. */
export function readNumber(
  text: string,
  { low, high, whole = false, open = false }: Range,
): number | null | undefined {
  // Digits of full width come from Japanese input methods and mean the same.
  const plain = text.normalize("NFKC").trim();
  if (plain === "") return null;
  if (!/^\d*\.?\d+$|^\d+\.$/.test(plain)) return undefined;
  const value = Number(plain);
  if (value > high || value < low || (open && value === low)) return undefined;
  if (whole && !Number.isInteger(value)) return undefined;
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
