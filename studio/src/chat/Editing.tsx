import { useEffect, useId, useRef, useState } from "react";

import { useText } from "../i18n";
import { Writing } from "./Writing";

interface Props {
  text: string;
  label: string;
  /** Word on the button that takes the change over. */
  save: string;
  hint?: string;
  /** Whether nothing at all may be saved too. */
  allowEmpty?: boolean;
  onSave: (text: string) => void;
  onCancel: () => void;
}

/** Words changed in their place: a question, something that waits, a remark. */
export function Editing({ text: begun, label, save, hint, allowEmpty, onSave, onCancel }: Props) {
  const text = useText();
  const [words, setWords] = useState(begun);
  const field = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  const can = allowEmpty === true || words.trim() !== "";
  const submit = () => {
    if (can) onSave(words);
  };
  useEffect(() => {
    const at = field.current;
    at?.focus({ preventScroll: true });
    at?.setSelectionRange(at.value.length, at.value.length);
  }, []);
  return (
    <form
      className="editing"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Writing
        value={words}
        onValue={setWords}
        onSubmit={submit}
        onEscape={onCancel}
        field={field}
        label={label}
        {...(hint === undefined ? {} : { describedBy: id })}
      />
      <div className="row">
        {hint === undefined ? null : (
          <p id={id} className="small soft">
            {hint}
          </p>
        )}
        <button type="button" className="button quiet" onClick={onCancel}>
          {text.chat.cancel}
        </button>
        <button type="submit" className="button primary" disabled={!can}>
          {save}
        </button>
      </div>
    </form>
  );
}
