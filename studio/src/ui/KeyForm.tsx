import { use, useId, useState } from "react";

import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { isKey } from "../settings/settings";
import { useComposition } from "./useComposition";

/** Asks for the server's key where it is missed. */
export function KeyForm({ onSaved, save }: { onSaved: (key: string) => void; save?: string }) {
  const text = useText();
  const { change } = use(SettingsContext);
  const [key, setKey] = useState("");
  const [shown, setShown] = useState(false);
  const [fault, setFault] = useState("");
  const { inForm } = useComposition();
  const id = useId();
  const submit = () => {
    const value = key.trim();
    if (value === "") return setFault(text.key.empty);
    if (!isKey(value)) return setFault(text.key.ascii);
    setFault("");
    setKey("");
    change({ key: value });
    onSaved(value);
  };
  return (
    <form
      className="key"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <label htmlFor={id}>{text.key.label}</label>
      <div className="row">
        <input
          id={id}
          className="field"
          type={shown ? "text" : "password"}
          autoComplete="off"
          spellCheck={false}
          value={key}
          aria-invalid={fault !== ""}
          aria-describedby={`${id}-fault ${id}-where`}
          onChange={(event) => setKey(event.target.value)}
          {...inForm}
        />
        <button type="button" className="button quiet" onClick={() => setShown(!shown)}>
          {shown ? text.key.hide : text.key.show}
        </button>
        <button type="submit" className="button primary">
          {save ?? text.key.use}
        </button>
      </div>
      <p id={`${id}-fault`} className="fault" role="alert">
        {fault}
      </p>
      <p id={`${id}-where`} className="soft">
        {text.key.where}
      </p>
    </form>
  );
}
