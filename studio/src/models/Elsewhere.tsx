import { useMutation } from "@tanstack/react-query";
import { use, useId, useRef, useState } from "react";
import { Link } from "react-router";

import { pullModel } from "../api/catalog";
import { ApiError } from "../api/errors";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { useTakeJob } from "../jobs/useJobs";
import { SettingsContext } from "../settings/context";
import { useComposition } from "../ui/useComposition";
import { Failed } from "../ui/Failed";

/** Fetches what stands in no catalogue, by its source. */
export function Elsewhere() {
  const text = useText();
  const words = text.models.elsewhere;
  const { key } = use(SettingsContext).settings;
  const take = useTakeJob();
  const [source, setSource] = useState("");
  const [name, setName] = useState("");
  const [accepted, setAccepted] = useState(false);
  const [fault, setFault] = useState("");
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  const pull = useMutation({
    mutationFn: () =>
      pullModel(
        { key },
        { model: source.trim(), accept_terms: accepted, name: name.trim() || null },
      ),
    networkMode: "always",
    onSuccess: (job) => {
      take(job);
      setSource("");
      setName("");
      setAccepted(false);
    },
  });
  const asksTerms = refusedForTerms(pull.error);
  const submit = () => {
    if (pull.isPending) return;
    const wanted = source.trim();
    const wrong = wanted === "" ? words.empty : /^(hf|pypi):./i.test(wanted) ? "" : words.form;
    setFault(wrong);
    if (wrong === "") pull.mutate();
    else field.current?.focus();
  };
  return (
    <section className="elsewhere">
      <h2>{words.title}</h2>
      <p className="small soft">{words.why}</p>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <div className="filter-row">
          <div className="labelled grow">
            <label htmlFor={`${id}-source`}>{words.source}</label>
            <TextField
              id={`${id}-source`}
              field={field}
              value={source}
              describedBy={`${id}-fault`}
              invalid={fault !== ""}
              onValue={setSource}
            />
          </div>
          <div className="labelled grow">
            <label htmlFor={`${id}-name`}>{words.name}</label>
            <TextField id={`${id}-name`} value={name} onValue={setName} />
          </div>
          <button type="submit" className="button primary" aria-disabled={pull.isPending}>
            {words.fetch}
          </button>
        </div>
        {asksTerms ? <Accept accepted={accepted} onAccept={setAccepted} /> : null}
        <p id={`${id}-fault`} className="fault small" role="alert">
          {fault}
        </p>
      </form>
      {pull.error ? <Failed failure={failureFrom(pull.error)} onRetry={submit} /> : null}
      <p role="status" className="small">
        {pull.data ? (
          <>
            {words.begun(pull.data.title)}{" "}
            <Link to={`/jobs/${encodeURIComponent(pull.data.id)}`}>{words.look}</Link>
          </>
        ) : null}
      </p>
    </section>
  );
}

function Accept({
  accepted,
  onAccept,
}: {
  accepted: boolean;
  onAccept: (accepted: boolean) => void;
}) {
  const text = useText();
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={accepted}
        onChange={(event) => onAccept(event.target.checked)}
      />
      {text.models.elsewhere.accept}
    </label>
  );
}

/** Whether the server refused because terms are not accepted yet. */
function refusedForTerms(error: Error | null): boolean {
  return error instanceof ApiError && /terms/i.test(error.failure.said);
}

interface FieldProps {
  id: string;
  value: string;
  onValue: (value: string) => void;
  field?: React.RefObject<HTMLInputElement | null>;
  describedBy?: string;
  invalid?: boolean;
}

/** A line of text in which Enter sends, except while an input method composes. */
function TextField({ id, value, onValue, field, describedBy, invalid = false }: FieldProps) {
  const { inForm } = useComposition();
  return (
    <input
      ref={field}
      id={id}
      className="field"
      autoComplete="off"
      autoCapitalize="off"
      spellCheck={false}
      value={value}
      aria-invalid={invalid}
      aria-describedby={describedBy}
      onChange={(event) => onValue(event.target.value)}
      {...inForm}
    />
  );
}
