import { useId, useState, type RefObject } from "react";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { wordFor } from "../jobs/words";
import { useComposition } from "../ui/useComposition";
import type { Entry } from "./entries";
import { chosen, choicesOf, NOTHING_CHOSEN, type Filter } from "./filter";
import { languageName } from "./words";

interface Props {
  entries: readonly Entry[];
  filter: Filter;
  /** How many are left. */
  shown: number;
  search: RefObject<HTMLInputElement | null>;
  onChange: (part: Partial<Filter>) => void;
}

/** Fields that choose among the models; what they say stands in the address. */
export function Filters({ entries, filter, shown, search, onChange }: Props) {
  const text = useText();
  const language = useLanguage();
  const words = text.models.filters;
  return (
    <search className="filters">
      <div className="filter-row">
        <SearchField
          search={search}
          value={filter.search}
          onValue={(value) => onChange({ search: value })}
        />
        <Select
          label={words.where}
          value={filter.where}
          options={["here", "absent"]}
          name={(value) => (value === "here" ? words.here : words.absent)}
          onValue={(value) =>
            onChange({ where: value === "here" || value === "absent" ? value : null })
          }
        />
        <label className="check">
          <input
            type="checkbox"
            checked={filter.fits}
            onChange={(event) => onChange({ fits: event.target.checked })}
          />
          {words.fits}
        </label>
      </div>
      <MoreFilters entries={entries} filter={filter} onChange={onChange} />
      <p className="small soft filter-count">
        <span role="status">
          {words.shown(count(language, shown), count(language, entries.length))}
        </span>
        {chosen(filter) > 0 ? (
          <button
            type="button"
            className="button quiet"
            onClick={() => {
              onChange(NOTHING_CHOSEN);
              search.current?.focus();
            }}
          >
            {words.clear}
          </button>
        ) : null}
      </p>
    </search>
  );
}

function MoreFilters({
  entries,
  filter,
  onChange,
}: Pick<Props, "entries" | "filter" | "onChange">) {
  const text = useText();
  const language = useLanguage();
  const words = text.models.filters;
  const choices = choicesOf(entries);
  const itself = (value: string) => value;
  // On a phone the list would begin below the fold; what is chosen is always seen.
  const [open, setOpen] = useState(
    () => matchMedia("(min-width: 761px)").matches || chosen(filter) > 0,
  );
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{words.more}</summary>
      <div className="filter-row">
        <Select
          label={words.task}
          value={filter.task}
          options={choices.task}
          name={(value) => wordFor(text.models.tasks, value)}
          onValue={(task) => onChange({ task })}
        />
        <Select
          label={words.language}
          value={filter.language}
          options={choices.language}
          name={(value) => languageName(language, value)}
          onValue={(value) => onChange({ language: value })}
        />
        <Select
          label={words.size}
          value={filter.size}
          options={choices.size}
          name={(value) => wordFor(words.sizes, value)}
          onValue={(size) => onChange({ size })}
        />
        <Select
          label={words.licence}
          value={filter.licence}
          options={choices.licence}
          name={itself}
          onValue={(licence) => onChange({ licence })}
        />
        <Select
          label={words.family}
          value={filter.family}
          options={choices.family}
          name={itself}
          onValue={(family) => onChange({ family })}
        />
      </div>
    </details>
  );
}

interface SearchProps {
  search: RefObject<HTMLInputElement | null>;
  value: string;
  onValue: (value: string) => void;
}

/** What is typed stands in the field at once, composing too, and then in the address. */
function SearchField({ search, value, onValue }: SearchProps) {
  const text = useText();
  const [typed, setTyped] = useState(value);
  const [told, setTold] = useState(value);
  const { inForm } = useComposition();
  if (value !== told) {
    // The address changed, by this field or by going back.
    setTold(value);
    if (value !== typed.trim()) setTyped(value);
  }
  return (
    <label className="labelled grow">
      <span>{text.models.filters.search}</span>
      <input
        ref={search}
        type="search"
        className="field"
        autoComplete="off"
        spellCheck={false}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          onValue(event.target.value.trim());
        }}
        {...inForm}
      />
    </label>
  );
}

interface SelectProps {
  label: string;
  value: string | null;
  options: readonly string[];
  name: (value: string) => string;
  onValue: (value: string | null) => void;
}

/** A choice of one or of any; one that nothing here has any more stays visible as chosen. */
function Select({ label, value, options, name, onValue }: SelectProps) {
  const text = useText();
  const id = useId();
  const all = value !== null && !options.includes(value) ? [...options, value] : options;
  if (all.length === 0) return null;
  return (
    <div className="labelled">
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        className="field"
        value={value ?? ""}
        onChange={(event) => onValue(event.target.value || null)}
      >
        <option value="">{text.models.filters.any}</option>
        {all.map((option) => (
          <option key={option} value={option}>
            {name(option)}
          </option>
        ))}
      </select>
    </div>
  );
}
