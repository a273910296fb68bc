import { useId, useState, type ReactNode } from "react";
import { useNavigate } from "react-router";

import type { NewRun, TrainingChoices } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { Choice } from "../settings/Choice";
import { readNumber } from "../settings/numbers";
import { Command } from "../ui/Command";
import { Failed } from "../ui/Failed";
import { useBeginRun, useChoices } from "./useRuns";

type Objective = NewRun["objective"];

const OBJECTIVES: readonly Objective[] = ["pretrain", "instruct"];

/** What makes the things that a run needs. */
const MAKE = {
  corpus: "kataribe corpus make code stdlib",
  chats: "kataribe corpus instructions chats --from stdlib",
  tokenizer: "kataribe tokenizer train code code",
};

/** How long a run may take, in what its kind is counted in. */
const RANGES = {
  pretrain: { low: 0.1, high: 60 * 24 * 30, whole: false },
  instruct: { low: 0.01, high: 1000, whole: false },
};

/** A new run from a few choices: one dial, minutes, sets the rest. */
export function NewRunForm() {
  const text = useText();
  const words = text.training.form;
  const choices = useChoices();
  return (
    <section className="stack">
      <h2>{words.title}</h2>
      <p className="soft">{words.intro}</p>
      {choices.isError ? (
        <Failed failure={failureFrom(choices.error)} onRetry={() => void choices.refetch()} />
      ) : null}
      {choices.data ? <Form choices={choices.data} /> : null}
    </section>
  );
}

function Form({ choices }: { choices: TrainingChoices }) {
  const text = useText();
  const words = text.training.form;
  const navigate = useNavigate();
  const begin = useBeginRun((run) => void navigate(`/training/${encodeURIComponent(run)}`));
  const [objective, setObjective] = useState<Objective>("pretrain");
  const [name, setName] = useState("");
  const [lengths, setLengths] = useState({ pretrain: "10", instruct: "3" });
  const [picked, setPicked] = useState<Record<string, string>>({});
  const sources = sourcesOf(choices, objective, picked);
  const length = readNumber(lengths[objective], RANGES[objective]);
  const { data, from } = sources;
  const pick = (what: string) => (value: string) =>
    setPicked({ ...picked, [`${what} ${objective}`]: value });
  const wanted =
    name.trim() === "" || data.value === null || from.value === null || typeof length !== "number"
      ? null
      : wish(objective, name.trim(), data.value, from.value, length);
  const submit = () => {
    if (wanted && !begin.isPending) begin.mutate(wanted);
  };
  return (
    <form
      className="new-run"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Choice
        label={words.objective}
        value={objective}
        options={OBJECTIVES.map((one) => [one, text.training.objectives[one]] as const)}
        onValue={setObjective}
      />
      <Setting label={words.name} why={words.nameWhy}>
        {(id) => (
          <input
            id={id}
            className="field"
            autoComplete="off"
            spellCheck={false}
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        )}
      </Setting>
      <Picker {...data} {...words.data[objective]} onValue={pick("data")} />
      <Picker {...from} {...words.from[objective]} onValue={pick("from")} />
      <Length
        {...words.length[objective]}
        typed={lengths[objective]}
        wrong={typeof length !== "number"}
        onTyped={(typed) => setLengths({ ...lengths, [objective]: typed })}
      />
      <div className="row">
        <button type="submit" className="button primary" aria-disabled={!wanted || begin.isPending}>
          {words.begin}
        </button>
        <span role="status" className="small soft">
          {begin.isPending ? words.beginning : wanted ? "" : words.needs}
        </span>
      </div>
      {begin.error ? <Failed failure={failureFrom(begin.error)} onRetry={submit} /> : null}
    </form>
  );
}

/** What a run of this kind can be made of, and what of it is chosen. */
function sourcesOf(
  choices: TrainingChoices,
  objective: Objective,
  picked: Readonly<Record<string, string>>,
) {
  const instruct = objective === "instruct";
  const of = (what: string, options: readonly string[], command: string | null) => ({
    options,
    value: chosen(options, picked[`${what} ${objective}`]),
    command,
  });
  return instruct
    ? { data: of("data", choices.chats, MAKE.chats), from: of("from", choices.models, null) }
    : {
        data: of("data", choices.corpora, MAKE.corpus),
        from: of("from", choices.tokenizers, MAKE.tokenizer),
      };
}

function wish(
  objective: Objective,
  name: string,
  corpus: string,
  from: string,
  length: number,
): NewRun {
  const begun = { objective, name, corpus, seed: 0 };
  return objective === "instruct"
    ? { ...begun, model: from, epochs: length }
    : { ...begun, tokenizer: from, minutes: length };
}

interface LengthProps {
  label: string;
  why: string;
  fault: string;
  typed: string;
  wrong: boolean;
  onTyped: (typed: string) => void;
}

function Length({ label, why, fault, typed, wrong, onTyped }: LengthProps) {
  return (
    <Setting label={label} why={why} fault={wrong ? fault : ""}>
      {(id) => (
        <input
          id={id}
          className="field number"
          inputMode="decimal"
          autoComplete="off"
          value={typed}
          aria-invalid={wrong}
          onChange={(event) => onTyped(event.target.value)}
        />
      )}
    </Setting>
  );
}

/** What was picked, as long as it is there; else the first; null where there is none. */
function chosen(options: readonly string[], picked: string | undefined): string | null {
  return picked !== undefined && options.includes(picked) ? picked : (options[0] ?? null);
}

interface SettingProps {
  label: string;
  why?: string;
  fault?: string;
  children: (id: string) => ReactNode;
}

function Setting({ label, why, fault, children }: SettingProps) {
  const id = useId();
  return (
    <div className="setting">
      <label htmlFor={id}>{label}</label>
      <div>
        {children(id)}
        {why === undefined ? null : <p className="small soft">{why}</p>}
        {fault === undefined ? null : (
          <p className="fault" role="alert">
            {fault}
          </p>
        )}
      </div>
    </div>
  );
}

interface PickerProps {
  label: string;
  options: readonly string[];
  value: string | null;
  onValue: (value: string) => void;
  /** What to say where there is none, and the command that makes one. */
  missing: string;
  command: string | null;
}

function Picker({ label, options, value, onValue, missing, command }: PickerProps) {
  return (
    <Setting label={label}>
      {(id) => (
        <>
          <select
            id={id}
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
              {command === null ? null : <Command command={command} />}
            </>
          )}
        </>
      )}
    </Setting>
  );
}
