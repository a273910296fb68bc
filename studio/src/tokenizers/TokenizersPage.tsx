import { useState } from "react";

import type { TokenizerShown } from "../api/tokenizers";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count, decimal } from "../i18n/format";
import { isAbsent } from "../jobs/useJobs";
import { Command } from "../ui/Command";
import { Failed } from "../ui/Failed";
import { CompareForm } from "./CompareForm";
import { EXAMPLE } from "./comparison";
import { NumberedBox, PieceFlow } from "./PieceFlow";
import { usePieces, useTokenizers } from "./useTokenizers";
import { useSettled } from "./useSettled";

/** Tokenizers that are here, what they make of a text, and how kinds and sizes compare. */
export function TokenizersPage() {
  const text = useText();
  const words = text.tokenizers;
  const query = useTokenizers();
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${words.title} · ${text.product}`}</title>
      <div className="column broad">
        <header>
          <h1>{words.title}</h1>
          <p className="soft">{words.intro}</p>
        </header>
        {query.isPending ? <p role="status">{words.loading}</p> : null}
        {isAbsent(query.error) ? (
          <p>{words.unavailable}</p>
        ) : query.isError ? (
          <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
        ) : null}
        {query.data ? (
          <>
            {query.data.data.length === 0 ? (
              <section className="stack">
                <h2>{words.none}</h2>
                <p>{words.noneWhy}</p>
                <Command command="kataribe tokenizer train code code" />
              </section>
            ) : (
              <>
                <Table tokenizers={query.data.data} />
                <Cut tokenizers={query.data.data} />
              </>
            )}
            <CompareForm corpora={query.data.corpora} />
          </>
        ) : null}
      </div>
    </div>
  );
}

function Table({ tokenizers }: { tokenizers: readonly TokenizerShown[] }) {
  const text = useText();
  const language = useLanguage();
  const words = text.tokenizers;
  return (
    <table className="models">
      <thead>
        <tr>
          <th scope="col">{words.name}</th>
          <th scope="col">{words.kind}</th>
          <th scope="col">{words.size}</th>
          <th scope="col">{words.corpus}</th>
        </tr>
      </thead>
      <tbody>
        {tokenizers.map((one) => (
          <tr key={one.name}>
            <th scope="row" translate="no">
              {one.name}
              {one.problem === "" ? null : (
                <p className="fault small" lang="en">
                  {one.problem}
                </p>
              )}
            </th>
            <td translate="no">{one.kind ?? "–"}</td>
            <td className="numbers">
              <span className="narrow-label">{words.size} </span>
              {one.pieces === null ? "–" : count(language, one.pieces)}
            </td>
            <td translate="no">{one.corpus ?? "–"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Tokenizers whose pieces are shown at once. */
const MOST = 12;
/** Milliseconds without a key until the server is asked: slower than fast typing. */
const PAUSE = 250;
/** Characters that the server takes. */
const MOST_TEXT = 10_000;

function Cut({ tokenizers }: { tokenizers: readonly TokenizerShown[] }) {
  const text = useText();
  const language = useLanguage();
  const words = text.tokenizers;
  const [typed, setTyped] = useState(EXAMPLE);
  const asked = useSettled(typed, PAUSE);
  const [numbered, setNumbered] = useState(false);
  const names = tokenizers.filter((one) => one.problem === "").map((one) => one.name);
  const query = usePieces(names.slice(0, MOST), asked);
  return (
    <section className="stack">
      <h2>{words.cut}</h2>
      <textarea
        className="field"
        rows={3}
        maxLength={MOST_TEXT}
        aria-label={words.text}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <NumberedBox on={numbered} onChange={setNumbered} />
      {query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : null}
      {typed === ""
        ? null
        : query.data?.map((one) => (
            <div key={one.name} className="stack cut">
              <h3>
                <span translate="no">{one.name}</span>{" "}
                <span className="small soft numbers">
                  {words.tokens(count(language, one.pieces.length))}
                  {one.bytes_per_token === null
                    ? ""
                    : ` · ${words.bytesEach(decimal(language, one.bytes_per_token, 2))}`}
                  {one.returns ? "" : ` · ${words.lost}`}
                </span>
              </h3>
              <PieceFlow pieces={one.pieces} numbered={numbered} />
            </div>
          ))}
    </section>
  );
}
