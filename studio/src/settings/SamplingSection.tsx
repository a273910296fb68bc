import { use, useRef, useState } from "react";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { LineForm } from "../ui/LineForm";
import { SettingsContext } from "./context";
import { NumberField } from "./NumberField";
import {
  MOST_PRESETS,
  PRESET_LENGTH,
  RANGES,
  sameSampling,
  withPreset,
  type Sampling,
} from "./settings";

/** How replies are drawn, and the names under which a person keeps that. */
export function SamplingSection() {
  const text = useText();
  const { settings, change } = use(SettingsContext);
  const [chosen, setChosen] = useState(0); // the fields are made anew when a preset fills them
  const take = (sampling: Sampling) => {
    change({ sampling });
    setChosen(chosen + 1);
  };
  return (
    <section>
      <h2>{text.settings.sampling}</h2>
      <p className="small soft">{text.settings.samplingWhy}</p>
      <Presets onTake={take} />
      <Fields
        key={chosen}
        sampling={settings.sampling}
        onChange={(sampling) => change({ sampling })}
      />
    </section>
  );
}

function Presets({ onTake }: { onTake: (sampling: Sampling) => void }) {
  const text = useText();
  const { settings, change } = use(SettingsContext);
  const [naming, setNaming] = useState(false);
  const choice = useRef<HTMLSelectElement>(null);
  const save = useRef<HTMLButtonElement>(null);
  const { presets, sampling } = settings;
  const current = presets.find((one) => sameSampling(one.sampling, sampling));
  return (
    <div className="setting">
      <label htmlFor="preset">{text.settings.preset}</label>
      <div className="stack">
        <div className="row">
          <select
            ref={choice}
            id="preset"
            className="field"
            value={current?.name ?? ""}
            disabled={presets.length === 0}
            onChange={({ target }) => {
              const found = presets.find((one) => one.name === target.value);
              if (found) onTake(found.sampling);
            }}
          >
            {current ? null : (
              <option value="">
                {presets.length === 0 ? text.settings.noPresets : text.settings.ownSampling}
              </option>
            )}
            {presets.map((one) => (
              <option key={one.name} value={one.name} translate="no">
                {one.name}
              </option>
            ))}
          </select>
          {current ? (
            <button
              type="button"
              className="button"
              onClick={() =>
                change({ presets: presets.filter((one) => one.name !== current.name) })
              }
            >
              {text.settings.deletePreset}
            </button>
          ) : null}
          {naming ? null : (
            <button
              ref={save}
              type="button"
              className="button"
              disabled={current !== undefined || presets.length >= MOST_PRESETS}
              onClick={() => setNaming(true)}
            >
              {text.settings.savePreset}
            </button>
          )}
        </div>
        {naming ? (
          <LineForm
            label={text.settings.presetName}
            value=""
            save={text.settings.save}
            maxLength={PRESET_LENGTH}
            back={() => (save.current?.disabled ? choice.current : save.current)}
            onCancel={() => setNaming(false)}
            onSave={(name) => {
              setNaming(false);
              if (name !== "") change({ presets: withPreset(presets, { name, sampling }) });
            }}
          />
        ) : null}
        <p className="small soft">{text.settings.presetWhy}</p>
      </div>
    </div>
  );
}

interface FieldsProps {
  sampling: Sampling;
  onChange: (sampling: Sampling) => void;
}

function Fields({ sampling, onChange }: FieldsProps) {
  const text = useText();
  const language = useLanguage();
  const { temperature, topP, maxTokens } = RANGES;
  const say = (value: number) => count(language, value);
  return (
    <>
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
    </>
  );
}
