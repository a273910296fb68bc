import { createContext, use, useId, useState, type ReactNode } from "react";

import type { RecipeProblem } from "../api/assistants";
import { useText } from "../i18n";
import { useComposition } from "../ui/useComposition";
import { shownValue, typedLines, typedNumber, typedValue, typedWords } from "./fields";

/** What is wrong, by where it stands in the form. */
export const ProblemsContext = createContext<ReadonlyMap<string, readonly RecipeProblem[]>>(
  new Map(),
);

export function useProblems(place: string): readonly RecipeProblem[] {
  return use(ProblemsContext).get(place) ?? [];
}

/** What is wrong at a place, in the server's words. */
export function Faults({ place, id }: { place: string; id?: string }) {
  const problems = useProblems(place);
  return (
    <div id={id} role="alert" className="faults">
      {problems.map((one) => (
        <p key={one.place + one.message} className="fault small" lang="en" dir="auto">
          {one.message}
        </p>
      ))}
    </div>
  );
}

interface LineProps {
  label: string;
  /** Where its faults stand; none of its own where a list of fields has them. */
  place?: string;
  value: string;
  onValue: (value: string) => void;
  hint?: ReactNode;
  placeholder?: string;
  /** Names that are offered while one types. */
  offers?: readonly string[];
  language?: string;
  code?: boolean;
  /** The label is a name, the same in every language. */
  named?: boolean;
  numeric?: boolean;
  rows?: number;
}

/** A field of one line, or of several with `rows`. */
export function TextField({ label, place = "-", value, onValue, ...more }: LineProps) {
  const id = useId();
  const { inForm } = useComposition();
  const wrong = useProblems(place).length > 0;
  const shared = {
    id,
    className: more.code ? "field typed" : "field",
    value,
    "aria-invalid": wrong,
    "aria-describedby": `${id}-hint ${id}-faults`,
    autoComplete: "off",
    ...(more.placeholder === undefined ? {} : { placeholder: more.placeholder }),
    ...(more.language === undefined ? {} : { lang: more.language }),
    ...(more.code ? { spellCheck: false, translate: "no" as const } : {}),
    "data-place": place,
  };
  return (
    <div className="labelled">
      <label htmlFor={id} translate={more.named ? "no" : undefined}>
        {label}
      </label>
      {more.rows ? (
        <textarea {...shared} rows={more.rows} onChange={(event) => onValue(event.target.value)} />
      ) : (
        <input
          {...shared}
          {...(more.numeric ? { inputMode: "decimal" as const } : {})}
          {...(more.offers ? { list: `${id}-offers` } : {})}
          onChange={(event) => onValue(event.target.value)}
          {...inForm}
        />
      )}
      {more.offers ? (
        <datalist id={`${id}-offers`}>
          {more.offers.map((offer) => (
            <option key={offer} value={offer} />
          ))}
        </datalist>
      ) : null}
      <p id={`${id}-hint`} className="small soft hint">
        {more.hint}
      </p>
      <Faults id={`${id}-faults`} place={place} />
    </div>
  );
}

interface NumberProps {
  label: string;
  place: string;
  value: number | string | null | undefined;
  onValue: (value: number | string | null) => void;
  placeholder?: string;
}

/** A number, or nothing. What is no number is kept as typed, and the server says so. */
export function NumberInput({ value, onValue, ...more }: NumberProps) {
  const [typed, setTyped] = useState(() => shownValue(value));
  const [told, setTold] = useState(value);
  if (value !== told) {
    // Changed from elsewhere: by the YAML, or by another draft.
    setTold(value);
    if (typedNumber(typed) !== (value ?? null)) setTyped(shownValue(value));
  }
  return (
    <TextField
      {...more}
      numeric
      value={typed}
      onValue={(text) => {
        setTyped(text);
        onValue(typedNumber(text));
      }}
    />
  );
}

interface WordsProps {
  label: string;
  value: readonly string[];
  onValue: (value: string[]) => void;
}

/** Words with commas between them; a comma that was just typed stays. */
export function WordsField({ label, value, onValue }: WordsProps) {
  const said = value.join(", ");
  const [typed, setTyped] = useState(said);
  const [told, setTold] = useState(said);
  if (said !== told) {
    setTold(said);
    if (typedWords(typed).join(", ") !== said) setTyped(said);
  }
  return (
    <TextField
      label={label}
      value={typed}
      onValue={(text) => {
        setTyped(text);
        onValue(typedWords(text));
      }}
    />
  );
}

interface LinesProps extends WordsProps {
  place: string;
  hint: string;
}

/** Texts one to a line; an empty line that was just begun stays. */
export function LinesField({ value, onValue, ...more }: LinesProps) {
  const said = value.join("\n");
  const [typed, setTyped] = useState(said);
  const [told, setTold] = useState(said);
  if (said !== told) {
    setTold(said);
    if (typedLines(typed).join("\n") !== said) setTyped(said);
  }
  return (
    <TextField
      {...more}
      code
      rows={2}
      value={typed}
      onValue={(text) => {
        setTyped(text);
        onValue(typedLines(text));
      }}
    />
  );
}

interface ChoiceProps {
  label: string;
  place?: string;
  value: string;
  options: readonly (readonly [value: string, words: string])[];
  onValue: (value: string) => void;
  hint?: ReactNode;
}

/** One of several; a value that is none of them stays visible. */
export function SelectField({ label, place = "-", value, options, onValue, hint }: ChoiceProps) {
  const id = useId();
  const wrong = useProblems(place).length > 0;
  const known = options.some(([option]) => option === value);
  return (
    <div className="labelled">
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        className="field"
        value={value}
        aria-invalid={wrong}
        aria-describedby={`${id}-hint ${id}-faults`}
        data-place={place}
        onChange={(event) => onValue(event.target.value)}
      >
        {known ? null : <option value={value}>{value}</option>}
        {options.map(([option, words]) => (
          <option key={option} value={option}>
            {words}
          </option>
        ))}
      </select>
      <p id={`${id}-hint`} className="small soft hint">
        {hint}
      </p>
      <Faults id={`${id}-faults`} place={place} />
    </div>
  );
}

interface CheckProps {
  label: ReactNode;
  value: boolean;
  onValue: (value: boolean) => void;
  disabled?: boolean;
}

export function CheckField({ label, value, onValue, disabled = false }: CheckProps) {
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={value}
        disabled={disabled}
        onChange={(event) => onValue(event.target.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

interface OptionsProps {
  /** With what each is where nothing is said. */
  known: Readonly<Record<string, unknown>>;
  values: Readonly<Record<string, unknown>>;
  onValue: (name: string, value: unknown) => void;
}

/** Options of a technique or guard; a list or mapping is typed as JSON. */
export function OptionFields({ known, values, onValue }: OptionsProps) {
  const names = [...Object.keys(known), ...Object.keys(values).filter((name) => !(name in known))];
  return names.map((name) => (
    <OptionField
      key={name}
      name={name}
      usual={shownValue(known[name])}
      value={values[name]}
      onValue={(value) => onValue(name, value)}
    />
  ));
}

interface OptionProps {
  name: string;
  usual: string;
  value: unknown;
  onValue: (value: unknown) => void;
}

function OptionField({ name, usual, value, onValue }: OptionProps) {
  const [typed, setTyped] = useState(() => shownValue(value));
  const [told, setTold] = useState(() => shownValue(value));
  const now = shownValue(value);
  if (now !== told) {
    setTold(now);
    if (shownValue(typedValue(typed)) !== now) setTyped(now);
  }
  return (
    <TextField
      label={name}
      named
      code
      placeholder={usual}
      value={typed}
      onValue={(text) => {
        setTyped(text);
        onValue(typedValue(text));
      }}
    />
  );
}

interface ListProps<T extends object> {
  items: readonly T[];
  /** The place of the list; its items' are `place.0` and so on. */
  place: string;
  fresh: T;
  addWords: string;
  removeWords: (number: string) => string;
  onItems: (items: T[]) => void;
  children: (item: T, change: (part: Partial<T>) => void, index: number) => ReactNode;
}

/** Items that come and go, one below the other. */
export function ItemList<T extends object>({
  items,
  place,
  fresh,
  onItems,
  children,
  ...words
}: ListProps<T>) {
  return (
    <>
      {items.length > 0 ? (
        <ol className="items">
          {items.map((item, index) => (
            <li key={index}>
              <div className="stack">
                {children(
                  item,
                  (part) =>
                    onItems(items.map((one, at) => (at === index ? { ...one, ...part } : one))),
                  index,
                )}
                <Faults place={`${place}.${index}`} />
              </div>
              <RemoveItem
                words={words.removeWords(String(index + 1))}
                onRemove={() => onItems(items.filter((_, at) => at !== index))}
              />
            </li>
          ))}
        </ol>
      ) : null}
      <Faults place={place} />
      <button type="button" className="button fit" onClick={() => onItems([...items, fresh])}>
        {words.addWords}
      </button>
    </>
  );
}

function RemoveItem({ words, onRemove }: { words: string; onRemove: () => void }) {
  const text = useText();
  return (
    <button type="button" className="button quiet fit" aria-label={words} onClick={onRemove}>
      {text.assistants.takeOut}
    </button>
  );
}
