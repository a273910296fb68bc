import { useId } from "react";
import { Link, useSearchParams } from "react-router";

import type { PromptShown } from "../api/prompts";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { moment } from "../people/time";
import { Failed } from "../ui/Failed";
import { useDifference } from "./usePrompts";

interface Props {
  shown: PromptShown | null;
  onOpen: (number: number) => void;
}

/** Every version with its note, and what changed between two; the address says which two. */
export function VersionsPart({ shown, onOpen }: Props) {
  const text = useText();
  const words = text.prompts;
  const language = useLanguage();
  if (!shown) return <p className="soft">{words.noVersions}</p>;
  const { versions, summary } = shown;
  return (
    <div className="prompt-parts">
      {versions.length > 1 ? <Compare shown={shown} /> : null}
      <ol className="versions">
        {versions.toReversed().map((one) => (
          <li key={one.number}>
            <h3 className="numbers">
              {words.numbered(count(language, one.number))}
              {one.number === summary.latest ? (
                <span className="small soft"> {words.newest}</span>
              ) : null}
            </h3>
            <p className="small soft numbers">
              {moment(language, one.created_at)}
              {" · "}
              <Link to={`?view=answers&version=${one.number}`}>
                {words.answered(count(language, one.answers))}
              </Link>
            </p>
            {one.note === "" ? null : (
              <p className="sample" lang="" dir="auto">
                {one.note}
              </p>
            )}
            <p className="sample words" lang="" dir="auto">
              {one.text}
            </p>
            <button
              type="button"
              className="button quiet fit"
              aria-label={words.openVersionOf(String(one.number))}
              onClick={() => onOpen(one.number)}
            >
              {words.openVersion}
            </button>
          </li>
        ))}
      </ol>
    </div>
  );
}

function Compare({ shown }: { shown: PromptShown }) {
  const words = useText().prompts;
  const [address, setAddress] = useSearchParams();
  const { latest, id } = shown.summary;
  const numbers = shown.versions.map(({ number }) => number);
  const read = (name: string, otherwise: number) => {
    const found = Number(address.get(name));
    return numbers.includes(found) ? found : otherwise;
  };
  const old = read("old", Math.max(1, latest - 1));
  const fresh = read("new", latest);
  const query = useDifference(id, old, fresh);
  const choose = (name: "old" | "new") => (number: number) =>
    setAddress(
      (before) => {
        const to = new URLSearchParams(before);
        to.set(name, String(number));
        return to;
      },
      { replace: true },
    );
  return (
    <section className="stack">
      <h2>{words.compare}</h2>
      <div className="row">
        <Pick label={words.older} numbers={numbers} value={old} onValue={choose("old")} />
        <Pick label={words.newer} numbers={numbers} value={fresh} onValue={choose("new")} />
      </div>
      {old === fresh || query.data?.diff === "" ? (
        <p>{words.same}</p>
      ) : query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : query.data ? (
        <DiffView diff={query.data.diff} />
      ) : (
        <p role="status">{words.comparing}</p>
      )}
    </section>
  );
}

interface PickProps {
  label: string;
  numbers: readonly number[];
  value: number;
  onValue: (number: number) => void;
}

function Pick({ label, numbers, value, onValue }: PickProps) {
  const words = useText().prompts;
  const id = useId();
  return (
    <div className="labelled">
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        className="field"
        value={value}
        onChange={(event) => onValue(Number(event.target.value))}
      >
        {numbers.toReversed().map((number) => (
          <option key={number} value={number}>
            {words.numbered(String(number))}
          </option>
        ))}
      </select>
    </div>
  );
}

/** A unified diff; the sign before each line says what the colour says. */
function DiffView({ diff }: { diff: string }) {
  const words = useText().prompts;
  return (
    <pre
      className="diff"
      role="region"
      lang=""
      translate="no"
      tabIndex={0}
      aria-label={words.compare}
    >
      {diff
        .split("\n")
        .filter((line, at) => !(at < 2 && /^(---|\+\+\+) /.test(line)))
        .map((line, at) => (
          <span key={at} className={kindOf(line)}>
            {`${line}\n`}
          </span>
        ))}
    </pre>
  );
}

function kindOf(line: string): string {
  if (line.startsWith("+")) return "plus";
  if (line.startsWith("-")) return "minus";
  return line.startsWith("@@") ? "soft" : "";
}
