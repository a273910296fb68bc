import { useRef } from "react";
import { useSearchParams } from "react-router";

import type { TrainingChoices } from "../api/training";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { Choice } from "../settings/Choice";
import { Failed } from "../ui/Failed";
import { useComposition } from "../ui/useComposition";
import { MAKE, MORE, OBJECTIVES, type Field } from "./recipes";
import { NumberSetting, Picker, Setting } from "./Setting";
import { useBeginRun, useChoices } from "./useRuns";
import { useDraft, type Draft } from "./useDraft";
import { WhatToExpect } from "./WhatToExpect";

/** A new run: first a few choices, then what to expect of it, then its beginning. */
export function NewRunForm() {
  const text = useText();
  const words = text.training.form;
  const choices = useChoices();
  const [address, setAddress] = useSearchParams();
  const planned = address.get("plan");
  const heading = useRef<HTMLHeadingElement>(null);
  const asked = useRef<string | null>(null); // in this form; not so after a reload
  const show = (run: string | null) => {
    const next = new URLSearchParams(address);
    if (run === null) next.delete("plan");
    else next.set("plan", run);
    setAddress(next, { replace: true });
  };
  return (
    <section className="stack">
      <h2 ref={heading} tabIndex={-1}>
        {words.title}
      </h2>
      {planned === null ? <p className="soft">{words.intro}</p> : null}
      {choices.isError ? (
        <Failed failure={failureFrom(choices.error)} onRetry={() => void choices.refetch()} />
      ) : null}
      {planned === null ? null : (
        <WhatToExpect
          id={planned}
          takesFocus={() => asked.current === planned}
          onChange={() => {
            show(null);
            heading.current?.focus(); // what had it goes
          }}
        />
      )}
      {choices.data ? (
        <Form
          choices={choices.data}
          hidden={planned !== null}
          onPlanned={(run) => {
            asked.current = run;
            show(run);
          }}
        />
      ) : null}
    </section>
  );
}

interface FormProps {
  choices: TrainingChoices;
  /** What is typed stays while it is. */
  hidden: boolean;
  onPlanned: (run: string) => void;
}

function Form({ choices, hidden, onPlanned }: FormProps) {
  const text = useText();
  const words = text.training.form;
  const draft = useDraft(choices);
  const begin = useBeginRun(onPlanned);
  const { inForm } = useComposition();
  const { objective, recipe, wanted } = draft;
  const submit = () => {
    if (wanted && !begin.isPending) begin.mutate(wanted);
  };
  return (
    <form
      className="new-run"
      hidden={hidden}
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Choice
        label={words.objective}
        value={objective}
        options={OBJECTIVES.map((one) => [one, text.training.objectives[one]] as const)}
        onValue={draft.setObjective}
      />
      <p className="small soft learns">{text.training.learns[objective]}</p>
      <Setting label={words.name} why={words.nameWhy}>
        {(ties) => (
          <input
            {...ties}
            className="field"
            autoComplete="off"
            spellCheck={false}
            value={draft.name}
            onChange={(event) => draft.setName(event.target.value)}
            {...inForm}
          />
        )}
      </Setting>
      <Sources draft={draft} />
      {(Object.keys(recipe.fields) as Field[]).map((field) => (
        <Number key={field} draft={draft} field={field} />
      ))}
      <details>
        <summary>{words.more}</summary>
        <div className="new-run">
          {MORE.map((field) => (
            <Number key={field} draft={draft} field={field} />
          ))}
        </div>
      </details>
      <div className="row">
        <button type="submit" className="button primary" aria-disabled={!wanted || begin.isPending}>
          {words.expect}
        </button>
        <span role="status" className="small soft">
          {begin.isPending ? words.beginning : wanted ? words.expectWhy : words.needs}
        </span>
      </div>
      {begin.error ? <Failed failure={failureFrom(begin.error)} onRetry={submit} /> : null}
    </form>
  );
}

/** What the run learns from, and with. */
function Sources({ draft }: { draft: Draft }) {
  const text = useText();
  const words = text.training.form;
  const { sources, objective } = draft;
  return (["data", "tokenizer", "model"] as const).map((role) => {
    const { kind, options, value } = sources[role];
    if (kind === null) return null;
    const said = words.sources[kind];
    const label = role === "model" && objective === "distill" ? words.teacher : said.label;
    return (
      <Picker
        key={role}
        label={label}
        options={options}
        value={value}
        missing={said.missing}
        make={MAKE[kind]}
        onValue={(picked) => draft.pick(role, picked)}
      />
    );
  });
}

function Number({ draft, field }: { draft: Draft; field: Field }) {
  const words = useText().training.form.fields;
  const said = words[field === "batch" && draft.recipe.batch === "examples" ? "rows" : field];
  return (
    <NumberSetting
      {...said}
      typed={draft.textOf(field)}
      wrong={draft.wrong.has(field)}
      onTyped={(typed) => draft.type(field, typed)}
    />
  );
}
