import { useId } from "react";

interface Props<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onValue: (value: T) => void;
}

/** One of a few. */
export function Choice<T extends string>({ label, value, options, onValue }: Props<T>) {
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
