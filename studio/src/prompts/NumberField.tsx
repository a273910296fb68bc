import { useId, useState } from "react";

import { useComposition } from "../ui/useComposition";

interface Props {
  label: string;
  /** What stands where nothing is typed. */
  usual: string;
  value: number | null;
  most?: number;
  whole?: boolean;
  onValue: (value: number | null) => void;
}

/** A number or nothing; what is neither is marked and changes nothing. */
export function NumberField({ label, usual, value, most, whole = false, onValue }: Props) {
  const id = useId();
  const { inForm } = useComposition();
  const [typed, setTyped] = useState(value === null ? "" : String(value));
  const read = (text: string): number | null | undefined => {
    const plain = text.normalize("NFKC").trim();
    if (plain === "") return null;
    const number = Number(plain);
    if (!Number.isFinite(number) || number < 0 || number > (most ?? Infinity)) return undefined;
    return whole && (!Number.isInteger(number) || number < 1) ? undefined : number;
  };
  return (
    <div className="labelled">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className="field number"
        inputMode="decimal"
        autoComplete="off"
        placeholder={usual}
        value={typed}
        aria-invalid={read(typed) === undefined}
        onChange={(event) => {
          setTyped(event.target.value);
          const number = read(event.target.value);
          if (number !== undefined) onValue(number);
        }}
        {...inForm}
      />
    </div>
  );
}
