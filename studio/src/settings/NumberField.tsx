import { useId, useState } from "react";

import { useComposition } from "../ui/useComposition";
import { readNumber, type Range } from "./numbers";

interface Props {
  label: string;
  why: string;
  fault: string;
  value: number | null;
  range: Range;
  onValue: (value: number | null) => void;
}

/** A number that may be left empty. What is not a number in range is kept as typed, and said. */
export function NumberField({ label, why, fault, value, range, onValue }: Props) {
  const [typed, setTyped] = useState(value === null ? "" : String(value));
  const { inForm } = useComposition();
  const id = useId();
  const wrong = readNumber(typed, range) === undefined;
  return (
    <div className="setting">
      <label htmlFor={id}>{label}</label>
      <div>
        <input
          id={id}
          className="field number"
          inputMode={range.whole ? "numeric" : "decimal"}
          autoComplete="off"
          value={typed}
          aria-invalid={wrong}
          aria-describedby={`${id}-why ${id}-fault`}
          onChange={(event) => {
            setTyped(event.target.value);
            const read = readNumber(event.target.value, range);
            if (read !== undefined) onValue(read);
          }}
          {...inForm}
        />
        <p id={`${id}-why`} className="small soft">
          {why}
        </p>
        <p id={`${id}-fault`} className="fault" role="alert">
          {wrong ? fault : ""}
        </p>
      </div>
    </div>
  );
}
