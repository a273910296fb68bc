import { useId, type ReactNode } from "react";

import { Command } from "../ui/Command";
import { useComposition } from "../ui/useComposition";

interface SettingProps {
  label: string;
  why?: string;
  fault?: string;
  children: (ties: Ties) => ReactNode;
}

/** What ties a field to its label, and to what is said under it. */
interface Ties {
  id: string;
  "aria-describedby"?: string;
}

/** A labelled field with what it is for, and what is wrong with it. */
export function Setting({ label, why, fault, children }: SettingProps) {
  const id = useId();
  const said = [
    why === undefined ? [] : `${id}why`,
    fault === undefined ? [] : `${id}fault`,
  ].flat();
  return (
    <div className="setting">
      <label htmlFor={id}>{label}</label>
      <div>
        {children({ id, ...(said.length === 0 ? {} : { "aria-describedby": said.join(" ") }) })}
        {why === undefined ? null : (
          <p id={`${id}why`} className="small soft">
            {why}
          </p>
        )}
        {fault === undefined ? null : (
          <p id={`${id}fault`} className="fault" role="alert">
            {fault}
          </p>
        )}
      </div>
    </div>
  );
}

interface NumberProps {
  label: string;
  why: string;
  fault: string;
  typed: string;
  wrong: boolean;
  onTyped: (typed: string) => void;
}

/** A number, or what says one. */
export function NumberSetting({ label, why, fault, typed, wrong, onTyped }: NumberProps) {
  const { inForm } = useComposition();
  return (
    <Setting label={label} why={why} fault={wrong ? fault : ""}>
      {(ties) => (
        <input
          {...ties}
          className="field number"
          inputMode="text"
          autoComplete="off"
          spellCheck={false}
          value={typed}
          aria-invalid={wrong}
          onChange={(event) => onTyped(event.target.value)}
          {...inForm}
        />
      )}
    </Setting>
  );
}

interface PickerProps {
  label: string;
  options: readonly string[];
  value: string | null;
  onValue: (value: string) => void;
  /** What to say where there is none, and the command or the line that makes one. */
  missing: string;
  make: string | null;
}

/** One of what is there; where nothing is, how to come by one. */
export function Picker({ label, options, value, onValue, missing, make }: PickerProps) {
  return (
    <Setting label={label}>
      {(ties) => (
        <>
          <select
            {...ties}
            className="field"
            disabled={options.length === 0}
            value={value ?? ""}
            onChange={(event) => onValue(event.target.value)}
          >
            {options.map((option) => (
              <option key={option} translate="no">
                {option}
              </option>
            ))}
          </select>
          {options.length > 0 ? null : (
            <>
              <p className="small soft">{missing}</p>
              {make === null ? null : <Command command={make} />}
            </>
          )}
        </>
      )}
    </Setting>
  );
}
