import { use, useId } from "react";

import { useLanguage, useText } from "../i18n";
import { LANGUAGE_NAMES, LANGUAGES } from "../i18n/catalogue";
import { count } from "../i18n/format";
import { KeyForm } from "../ui/KeyForm";
import { SettingsContext } from "./context";
import { NumberField } from "./NumberField";
import { RANGES, type Sampling, type Theme } from "./settings";

export function SettingsPage() {
  const text = useText();
  const { settings, change, kept } = use(SettingsContext);
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${text.settings.title} · ${text.product}`}</title>
      <div className="column settings">
        <header>
          <h1>{text.settings.title}</h1>
          <p className="soft">{text.settings.intro}</p>
          <p className="fault" role="alert">
            {kept ? "" : text.settings.notKept}
          </p>
        </header>
        <section>
          <Choice
            label={text.settings.language}
            value={settings.language}
            options={LANGUAGES.map((language) => [language, LANGUAGE_NAMES[language]] as const)}
            onValue={(language) => change({ language })}
          />
          <Choice<Theme>
            label={text.settings.theme}
            value={settings.theme}
            options={[
              ["auto", text.settings.themeAuto],
              ["light", text.settings.themeLight],
              ["dark", text.settings.themeDark],
            ]}
            onValue={(theme) => change({ theme })}
          />
          <Choice
            label={text.settings.enter}
            value={settings.enterSends ? "sends" : "breaks"}
            options={[
              ["sends", text.settings.enterSends],
              ["breaks", text.settings.enterBreaks],
            ]}
            onValue={(enter) => change({ enterSends: enter === "sends" })}
          />
        </section>
        <SamplingSection
          sampling={settings.sampling}
          onChange={(sampling) => change({ sampling })}
        />
        <KeySection keySet={settings.key !== null} onRemove={() => change({ key: null })} />
      </div>
    </div>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onValue: (value: T) => void;
}

function Choice<T extends string>({ label, value, options, onValue }: ChoiceProps<T>) {
  const name = useId();
  return (
    <fieldset className="setting">
      <legend>{label}</legend>
      <div className="options">
        {options.map(([option, words]) => (
          <label key={option}>
            <input
              type="radio"
              name={name}
              checked={option === value}
              onChange={() => onValue(option)}
            />
            <span>{words}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

interface SamplingProps {
  sampling: Sampling;
  onChange: (sampling: Sampling) => void;
}

function SamplingSection({ sampling, onChange }: SamplingProps) {
  const text = useText();
  const language = useLanguage();
  const { temperature, topP, maxTokens } = RANGES;
  const say = (value: number) => count(language, value);
  return (
    <section>
      <h2>{text.settings.sampling}</h2>
      <p className="small soft">{text.settings.samplingWhy}</p>
      <NumberField
        label={text.settings.temperature}
        why={text.settings.temperatureWhy}
        fault={text.settings.range(say(temperature.low), say(temperature.high))}
        value={sampling.temperature}
        range={temperature}
        onValue={(temperature) => onChange({ ...sampling, temperature })}
      />
      <NumberField
        label={text.settings.topP}
        why={text.settings.topPWhy}
        fault={text.settings.above(say(topP.low), say(topP.high))}
        value={sampling.topP}
        range={topP}
        onValue={(topP) => onChange({ ...sampling, topP })}
      />
      <NumberField
        label={text.settings.maxTokens}
        why={text.settings.maxTokensWhy}
        fault={text.settings.whole(say(maxTokens.low))}
        value={sampling.maxTokens}
        range={maxTokens}
        onValue={(maxTokens) => onChange({ ...sampling, maxTokens })}
      />
    </section>
  );
}

function KeySection({ keySet, onRemove }: { keySet: boolean; onRemove: () => void }) {
  const text = useText();
  return (
    <section>
      <h2>{text.settings.key}</h2>
      <p className="small soft">{text.settings.keyWhy}</p>
      <p role="status">{keySet ? text.settings.keySet : text.settings.keyUnset}</p>
      <KeyForm onSaved={() => undefined} save={text.settings.keyChange} />
      {keySet ? (
        <button type="button" className="button fit" onClick={onRemove}>
          {text.settings.keyRemove}
        </button>
      ) : null}
    </section>
  );
}
