import { useEffect, useId, useRef, useState } from "react";

import { useComposition } from "./useComposition";
import { useGoOn } from "./useGoOn";

interface Props {
  label: string;
  /** What is there already. */
  value: string;
  /** Words of the button that saves. */
  save: string;
  maxLength: number;
  /** Offered while one types. */
  offers?: readonly string[];
  onSave: (value: string) => void;
  onCancel: () => void;
  /** Where the focus goes on when it has ended. */
  back: () => HTMLElement | null | undefined;
}

/** One line that is written in place: Enter saves, Esc leaves it as it was. */
export function LineForm({ label, value, save, maxLength, offers, back, ...done }: Props) {
  const [typed, setTyped] = useState(value);
  const field = useRef<HTMLInputElement>(null);
  const { owns, following } = useComposition();
  const id = useId();
  const form = useGoOn(() => back);
  useEffect(() => field.current?.select(), []);
  return (
    <form
      ref={form}
      className="line"
      onSubmit={(event) => {
        event.preventDefault();
        done.onSave(typed.trim());
      }}
    >
      <input
        ref={field}
        className="field"
        aria-label={label}
        value={typed}
        maxLength={maxLength}
        autoComplete="off"
        list={offers ? id : undefined}
        autoFocus
        onChange={(event) => setTyped(event.target.value)}
        {...following}
        onKeyDown={(event) => {
          event.stopPropagation(); // keys of the list around it
          if (owns(event.nativeEvent)) {
            if (event.key === "Enter") event.preventDefault();
            return;
          }
          if (event.key === "Escape") {
            event.preventDefault();
            done.onCancel();
          }
        }}
      />
      {offers ? (
        <datalist id={id}>
          {offers.map((offer) => (
            <option key={offer} value={offer} />
          ))}
        </datalist>
      ) : null}
      <button type="submit" className="button primary">
        {save}
      </button>
    </form>
  );
}
