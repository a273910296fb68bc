import { useEffect, useId, useRef, useState } from "react";

import { useTalk } from "../conversation/context";
import { useText } from "../i18n";
import { Writing } from "./Writing";

interface Props {
  /** Under which the changed words are kept, through a reload too, until they are saved. */
  name: string;
  text: string;
  label: string;
  /** Word on the button that takes the change over. */
  save: string;
  hint?: string;
  /** Whether nothing at all may be saved too. */
  allowEmpty?: boolean;
  /** Gives whether it was taken; what was not stays here. */
  onSave: (text: string) => Promise<boolean>;
  /** Called when it was taken, or given up. */
  onClose: () => void;
}

/** Words changed in their place: a question, something that waits, a remark. */
export function Editing({ name, text: begun, label, save, hint, ...more }: Props) {
  const { allowEmpty, onSave, onClose } = more;
  const text = useText();
  const { drafts } = useTalk();
  const [words, setWords] = useState(() => drafts.edit(name) ?? begun);
  const [saving, setSaving] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  const can = allowEmpty === true || words.trim() !== "";
  const close = () => {
    drafts.writeEdit(name, null);
    onClose();
  };
  const submit = () => {
    if (!can || saving) return;
    setSaving(true);
    void onSave(words).then((taken) => {
      setSaving(false);
      if (taken) close();
    });
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
        onValue={(changed) => {
          drafts.writeEdit(name, changed);
          setWords(changed);
        }}
        onSubmit={submit}
        onEscape={close}
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
        <button type="button" className="button quiet" onClick={close}>
          {text.chat.cancel}
        </button>
        <button type="submit" className="button primary" disabled={!can || saving}>
          {save}
        </button>
      </div>
    </form>
  );
}
