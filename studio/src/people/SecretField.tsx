import { useId, useRef, useState } from "react";

import { useText } from "../i18n";
import { Composition } from "../ui/composing";

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
          {...useComposition()}
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

/** Handlers that keep an Enter of an input method from sending the form. */
export function useComposition() {
  const composition = useRef(new Composition());
  return {
    onCompositionStart: () => composition.current.start(),
    onCompositionEnd: (event: { timeStamp: number }) => composition.current.end(event.timeStamp),
    onBlur: (event: { timeStamp: number }) => composition.current.end(event.timeStamp),
    onKeyDown: ({
      nativeEvent,
    }: {
      nativeEvent: Parameters<Composition["owns"]>[0] & { preventDefault: () => void };
    }) => {
      if (nativeEvent.key === "Enter" && composition.current.owns(nativeEvent))
        nativeEvent.preventDefault();
    },
  };
}
