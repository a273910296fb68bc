import { useId } from "react";
import { Link, useSearchParams } from "react-router";

import type { PromptAnswer, PromptShown } from "../api/prompts";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count, decimal } from "../i18n/format";
import { moment } from "../people/time";
import { Failed } from "../ui/Failed";
import { tokensOf } from "./bench";
import { useAnswers } from "./usePrompts";

/** Answers that are shown at first, and more with each press. */
const PAGE = 20;
const MOST = 200;

/** What the versions were answered with, newest first; the address says of which. */
export function AnswersPart({ shown }: { shown: PromptShown | null }) {
  const text = useText();
  const words = text.prompts;
  const id = useId();
  const [address, setAddress] = useSearchParams();
  const wanted = Number(address.get("version"));
  const version = shown?.versions.some(({ number }) => number === wanted) ? wanted : null;
  const limit = Math.min(MOST, Math.max(PAGE, Number(address.get("limit")) || PAGE));
  const query = useAnswers(shown?.summary.id ?? null, version, limit);
  if (!shown) return <p className="soft">{words.noVersions}</p>;
  const set = (name: string, value: string) =>
    setAddress(
      (before) => {
        const to = new URLSearchParams(before);
        if (value === "") to.delete(name);
        else to.set(name, value);
        return to;
      },
      { replace: true },
    );
  const answers = query.data ?? [];
  return (
    <div className="prompt-parts">
      <div className="labelled fit">
        <label htmlFor={id}>{words.onlyVersion}</label>
        <select
          id={id}
          className="field"
          value={version ?? ""}
          onChange={(event) => set("version", event.target.value)}
        >
          <option value="">{words.allVersions}</option>
          {shown.versions.toReversed().map(({ number }) => (
            <option key={number} value={number}>
              {words.numbered(String(number))}
            </option>
          ))}
        </select>
      </div>
      {query.isPending ? <p role="status">{words.loading}</p> : null}
      {query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : null}
      {query.data && answers.length === 0 ? <p>{words.noAnswers}</p> : null}
      <ol className="kept-answers">
        {answers.map((one) => (
          <AnswerItem key={one.id} one={one} />
        ))}
      </ol>
      {answers.length === limit && limit < MOST ? (
        <button
          type="button"
          className="button fit"
          onClick={() => set("limit", String(Math.min(MOST, limit + 4 * PAGE)))}
        >
          {words.more}
        </button>
      ) : null}
    </div>
  );
}

function AnswerItem({ one }: { one: PromptAnswer }) {
  const words = useText().prompts;
  const language = useLanguage();
  const tokens = tokensOf(one.usage);
  const values = Object.entries(one.variables);
  const parts = [words.numbered(count(language, one.version)), moment(language, one.created_at)];
  if (tokens !== null) parts.push(words.tokens(count(language, tokens)));
  if (one.took !== null) parts.push(words.seconds(decimal(language, one.took)));
  return (
    <li>
      <p className="small">
        <code translate="no">{one.model}</code>
        {one.technique === null ? null : (
          <>
            {" · "}
            <code translate="no">{one.technique.name}</code>
          </>
        )}
      </p>
      <p className="small soft numbers">{parts.join(" · ")}</p>
      <p className="sample" lang="" dir="auto">
        {one.text}
      </p>
      {values.length === 0 ? null : (
        <details>
          <summary className="small soft">{words.values}</summary>
          <dl className="arguments small">
            {values.map(([name, value]) => (
              <div key={name} translate="no">
                <dt>{name}</dt>
                <dd className="sample">{value}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
      {one.conversation === null ? null : (
        <Link to={`/chat/${one.conversation}`}>{words.inConversation}</Link>
      )}
    </li>
  );
}
