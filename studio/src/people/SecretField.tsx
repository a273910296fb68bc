import { useId, useState } from "react";

import { useText } from "../i18n";
import { useComposition } from "../ui/useComposition";

interface Props {
  label: string;
  name: string;
  /** What password managers go by: `current-password`, `new-password`. */
  autoComplete: string;
  value: string;
  describedBy?: string;
  invalid?: boolean;
  onValue: (value: string) => void;
}

/** A password, which can be shown while one types it. */
export function SecretField(props: Props) {
  const text = useText();
  const [shown, setShown] = useState(false);
  const { inForm } = useComposition();
  const id = useId();
  return (
    <div className="entry">
      <label htmlFor={id}>{props.label}</label>
      <div className="row">
        <input
          id={id}
          className="field"
          type={shown ? "text" : "password"}
          name={props.name}
          autoComplete={props.autoComplete}
          spellCheck={false}
          autoCapitalize="none"
          value={props.value}
          aria-describedby={props.describedBy}
          aria-invalid={props.invalid ?? false}
          onChange={(event) => props.onValue(event.target.value)}
          {...inForm}
        />
        <button
          type="button"
          className="button quiet"
          aria-pressed={shown}
          onClick={() => setShown(!shown)}
        >
          {shown ? text.people.hide : text.people.show}
        </button>
      </div>
    </div>
  );
}
