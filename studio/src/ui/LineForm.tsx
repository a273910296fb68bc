import { useEffect, useId, useRef, useState } from "react";

import { useComposition } from "./useComposition";

interface Props {
  label: string;
  /** What is there already. */
  value: string;
  /** Words of the button that saves; without any, leaving the field saves. */
  save?: string;
  maxLength: number;
  /** Offered while one types. */
  offers?: readonly string[];
  onSave: (value: string) => void;
  onCancel: () => void;
}

/** One line that is written in place: Enter saves, Esc leaves it as it was. */
export function LineForm({ label, value, save, maxLength, offers, onSave, onCancel }: Props) {
  const [typed, setTyped] = useState(value);
  const field = useRef<HTMLInputElement>(null);
  const { owns, following } = useComposition();
  const done = useRef(false);
  const id = useId();
  useEffect(() => field.current?.select(), []);
  const finish = (what: () => void) => {
    if (done.current) return; // leaving the field after Enter must not save twice
    done.current = true;
    what();
  };
  const submit = () => finish(() => onSave(typed.trim()));
  return (
    <form
      className="line"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
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
        onBlur={(event) => {
          following.onBlur(event);
          if (save === undefined) submit();
        }}
        onKeyDown={(event) => {
          event.stopPropagation(); // keys of the list around it
          if (owns(event.nativeEvent)) {
            if (event.key === "Enter") event.preventDefault();
            return;
          }
          if (event.key === "Escape") {
            event.preventDefault();
            finish(onCancel);
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
      {save === undefined ? null : (
        <button type="submit" className="button primary">
          {save}
        </button>
      )}
    </form>
  );
}
