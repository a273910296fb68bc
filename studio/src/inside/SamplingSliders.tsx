import { useId } from "react";

import type { Sliders } from "../api/inside";
import { useLanguage, useText } from "../i18n";
import { decimal } from "../i18n/format";

/** What leaves a distribution as it is. */
export const NEUTRAL: Sliders = { temperature: 1, top_k: 0, top_p: 1, min_p: 0 };

interface Props {
  sliders: Sliders;
  /** How the reply was drawn. */
  drawn: Sliders;
  onChange: (sliders: Sliders) => void;
}

/** Temperature, top-k, top-p and min-p, in the order in which they work. */
export function SamplingSliders({ sliders, drawn, onChange }: Props) {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  const two = (value: number) => decimal(language, value, 2);
  const to = (name: keyof Sliders) => (value: number) => onChange({ ...sliders, [name]: value });
  const { temperature, top_k, top_p, min_p } = sliders;
  return (
    <fieldset className="sliders">
      <legend>{words.sampling}</legend>
      <Slider
        label={words.temperature}
        value={temperature}
        text={two(temperature)}
        range={[0, 2, 0.05]}
        onValue={to("temperature")}
      />
      <Slider
        label={words.topK}
        value={top_k}
        text={top_k === 0 ? words.all : String(top_k)}
        range={[0, Math.max(100, drawn.top_k), 1]}
        onValue={to("top_k")}
      />
      <Slider
        label={words.topP}
        value={top_p}
        text={two(top_p)}
        range={[0.01, 1, 0.01]}
        onValue={to("top_p")}
      />
      <Slider
        label={words.minP}
        value={min_p}
        text={two(min_p)}
        range={[0, 1, 0.01]}
        onValue={to("min_p")}
      />
      <div className="row">
        <button type="button" className="button" onClick={() => onChange(drawn)}>
          {words.drawn}
        </button>
        <button type="button" className="button" onClick={() => onChange(NEUTRAL)}>
          {words.neutral}
        </button>
      </div>
    </fieldset>
  );
}

interface SliderProps {
  label: string;
  value: number;
  text: string;
  range: [low: number, high: number, step: number];
  onValue: (value: number) => void;
}

function Slider({ label, value, text, range: [low, high, step], onValue }: SliderProps) {
  const id = useId();
  return (
    <div className="slider">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="range"
        min={low}
        max={high}
        step={step}
        value={value}
        aria-valuetext={text}
        onChange={(event) => onValue(Number(event.target.value))}
      />
      <output htmlFor={id} className="number">
        {text}
      </output>
    </div>
  );
}
