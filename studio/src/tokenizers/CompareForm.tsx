import { useState } from "react";

import type { Job } from "../api/jobs";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { hasEnded } from "../jobs/job";
import { JobRow } from "../jobs/JobRow";
import { useJobs } from "../jobs/useJobs";
import { Command } from "../ui/Command";
import { Failed } from "../ui/Failed";
import { useComposition } from "../ui/useComposition";
import { comparisonOf, comparisons, EXAMPLE, readSizes } from "./comparison";
import { ComparisonTables } from "./ComparisonTables";
import { useComparing } from "./useTokenizers";

/** All kinds at several sizes, trained on a corpus and measured on text that none has seen. */
export function CompareForm({ corpora }: { corpora: readonly string[] }) {
  const text = useText();
  const words = text.tokenizers;
  const comparing = useComparing();
  const jobs = comparisons(useJobs().data ?? []);
  const [picked, setPicked] = useState("");
  const [sizes, setSizes] = useState("4096, 16384");
  const [sentence, setSentence] = useState(EXAMPLE);
  const { inForm } = useComposition();
  const corpus = corpora.includes(picked) ? picked : (corpora[0] ?? null);
  const read = readSizes(sizes);
  const latest = jobs[0];
  const moving = latest !== undefined && !hasEnded(latest);
  const submit = () => {
    if (corpus === null || read === null || comparing.isPending || moving) return;
    comparing.mutate({
      corpus,
      kinds: ["bpe", "wordpiece", "unigram"],
      sizes: read,
      text: sentence.slice(0, 1000),
    });
  };
  return (
    <section className="stack">
      <h2>{words.compare}</h2>
      <p className="soft">{words.compareWhy}</p>
      {corpus === null ? (
        <>
          <p>{words.noCorpus}</p>
          <Command command="kataribe corpus make code stdlib" />
        </>
      ) : (
        <form
          className="new-run"
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          <label className="setting">
            <span>{words.corpus}</span>
            <select
              className="field"
              value={corpus}
              onChange={(event) => setPicked(event.target.value)}
            >
              {corpora.map((name) => (
                <option key={name} translate="no">
                  {name}
                </option>
              ))}
            </select>
          </label>
          <Sizes sizes={sizes} wrong={read === null} onSizes={setSizes} />
          <label className="setting">
            <span>{words.text}</span>
            <input
              className="field"
              value={sentence}
              maxLength={1000}
              onChange={(event) => setSentence(event.target.value)}
              {...inForm}
            />
          </label>
          <div className="row">
            <button
              type="submit"
              className="button primary"
              aria-disabled={read === null || comparing.isPending || moving}
            >
              {words.begin}
            </button>
          </div>
        </form>
      )}
      {comparing.error ? <Failed failure={failureFrom(comparing.error)} onRetry={submit} /> : null}
      <Found jobs={jobs} />
    </section>
  );
}

interface SizesProps {
  sizes: string;
  wrong: boolean;
  onSizes: (sizes: string) => void;
}

function Sizes({ sizes, wrong, onSizes }: SizesProps) {
  const words = useText().tokenizers;
  const { inForm } = useComposition();
  return (
    <label className="setting">
      <span>{words.sizes}</span>
      <span>
        <input
          className="field"
          inputMode="numeric"
          autoComplete="off"
          value={sizes}
          aria-invalid={wrong}
          onChange={(event) => onSizes(event.target.value)}
          {...inForm}
        />
        <span className="fault" role="alert">
          {wrong ? words.sizesFault : ""}
        </span>
      </span>
    </label>
  );
}

/** The comparison that goes on, and the last few that came to an end. */
function Found({ jobs }: { jobs: readonly Job[] }) {
  const latest = jobs[0];
  return (
    <>
      {latest && latest.state !== "done" ? <JobRow job={latest} /> : null}
      {jobs.slice(0, 3).map((job) => {
        const found = comparisonOf(job);
        return found ? <ComparisonTables key={job.id} title={job.title} found={found} /> : null;
      })}
    </>
  );
}
