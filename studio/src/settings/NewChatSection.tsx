import { use, useId } from "react";

import { useModels } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { SettingsContext } from "./context";
import { SYSTEM_LENGTH } from "./settings";

/** With what a new conversation begins: which model, and which text it is given unseen. */
export function NewChatSection() {
  const text = useText();
  const language = useLanguage();
  const { settings, change } = use(SettingsContext);
  const models = useModels().data ?? [];
  const id = useId();
  const { model, system } = settings;
  const away = model !== null && !models.some((one) => one.id === model);
  return (
    <section>
      <h2>{text.settings.newChats}</h2>
      <div className="setting">
        <label htmlFor={`${id}-model`}>{text.settings.model}</label>
        <select
          id={`${id}-model`}
          className="field"
          value={model ?? ""}
          onChange={({ target }) => change({ model: target.value === "" ? null : target.value })}
        >
          <option value="">{text.settings.anyModel}</option>
          {away ? (
            <option value={model} translate="no">
              {model}
            </option>
          ) : null}
          {models.map((one) => (
            <option key={one.id} value={one.id} translate="no">
              {one.id}
            </option>
          ))}
        </select>
      </div>
      <div className="setting">
        <label htmlFor={`${id}-system`}>{text.settings.system}</label>
        <div>
          <textarea
            id={`${id}-system`}
            className="field"
            rows={4}
            dir="auto"
            maxLength={SYSTEM_LENGTH}
            value={system}
            aria-describedby={`${id}-why`}
            onChange={(event) => change({ system: event.target.value })}
          />
          <p id={`${id}-why`} className="small soft">
            {text.settings.systemWhy(count(language, SYSTEM_LENGTH))}
          </p>
        </div>
      </div>
    </section>
  );
}
