import { use } from "react";

import { useText } from "../i18n";
import { KeyForm } from "../ui/KeyForm";
import { SettingsContext } from "./context";

/** The key that this server was started with: set or not set, never shown. */
export function KeySection() {
  const text = useText();
  const { settings, change } = use(SettingsContext);
  const isSet = settings.key !== null;
  return (
    <section>
      <h2>{text.settings.key}</h2>
      <p className="small soft">{text.settings.keyWhy}</p>
      <p role="status">{isSet ? text.settings.keySet : text.settings.keyUnset}</p>
      <KeyForm onSaved={() => undefined} save={text.settings.keyChange} />
      {isSet ? (
        <button type="button" className="button fit" onClick={() => change({ key: null })}>
          {text.settings.keyRemove}
        </button>
      ) : null}
    </section>
  );
}
