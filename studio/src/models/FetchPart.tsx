import { useMutation, useQueryClient } from "@tanstack/react-query";
import { use, useRef, useState } from "react";

import { pullModel, type CatalogModel } from "../api/catalog";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { bytes } from "../i18n/format";
import { downloadOf, hasEnded } from "../jobs/job";
import { JobRow } from "../jobs/JobRow";
import { useJobs, useTakeJob } from "../jobs/useJobs";
import { SettingsContext } from "../settings/context";
import { Failed } from "../ui/Failed";

/** The download of a model: its terms, its start, how far it is, and why it failed. */
export function FetchPart({ model }: { model: CatalogModel }) {
  const text = useText();
  const jobs = useJobs().data ?? [];
  const job = downloadOf(jobs, model.name, model.job);
  const shown = job && !(job.state === "done" || job.state === "cancelled") ? job : null;
  if (model.installed && !(shown && !hasEnded(shown))) return null;
  return (
    <section>
      <h2>{text.models.fetch.title}</h2>
      {shown ? <JobRow job={shown} /> : null}
      {shown && !hasEnded(shown) ? null : <Start model={model} />}
    </section>
  );
}

function Start({ model }: { model: CatalogModel }) {
  const text = useText();
  const language = useLanguage();
  const words = text.models.fetch;
  const { key } = use(SettingsContext).settings;
  const queries = useQueryClient();
  const take = useTakeJob();
  const [accepted, setAccepted] = useState(false);
  const [fault, setFault] = useState(false);
  const box = useRef<HTMLInputElement>(null);
  const pull = useMutation({
    mutationFn: () => pullModel({ key }, { model: model.name, accept_terms: accepted }),
    networkMode: "always",
    onSuccess: (job) => {
      take(job);
      void queries.invalidateQueries({ queryKey: ["catalog"] });
    },
  });
  const start = () => {
    if (pull.isPending) return;
    const missing = model.terms !== null && !accepted;
    setFault(missing);
    if (missing) box.current?.focus();
    else pull.mutate();
  };
  return (
    <>
      {model.terms ? (
        <div className="stack">
          <label className="check">
            <input
              ref={box}
              type="checkbox"
              checked={accepted}
              aria-invalid={fault && !accepted}
              aria-describedby="terms-fault"
              onChange={(event) => setAccepted(event.target.checked)}
            />
            <span>{words.accept(model.terms.name)}</span>
          </label>
          <a href={model.terms.url} target="_blank" rel="noopener noreferrer" className="small">
            {words.read}
          </a>
          <p id="terms-fault" className="fault small" role="alert">
            {fault && !accepted ? words.first : ""}
          </p>
        </div>
      ) : null}
      <div className="row">
        <button
          type="button"
          className="button primary"
          aria-disabled={pull.isPending}
          onClick={start}
        >
          {model.download ? words.button(bytes(language, model.download)) : words.buttonPlain}
        </button>
        <span role="status" className="small soft">
          {pull.isPending ? words.starting : ""}
        </span>
      </div>
      {pull.error ? <Failed failure={failureFrom(pull.error)} onRetry={start} /> : null}
    </>
  );
}
