import { useId, useMemo, useState } from "react";

import type { Attention, Inside, Reply } from "../api/inside";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { Failed } from "../ui/Failed";
import { share } from "./ChosenToken";
import { inline, lookers, visible } from "./pieces";
import { TokenFlow } from "./TokenFlow";
import { useAttention } from "./useInside";

const STRONGEST = 12;

interface Props {
  inside: Inside;
  reply: Reply;
  position: number;
  onPosition: (position: number) => void;
}

/** Where a token looks in a layer and head; or why that is not shown. */
export function AttentionView(props: Props) {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  const { inside } = props;
  const read = inside.prompt_tokens + inside.total;
  if (inside.parameters === 0) return <p>{words.noAttention}</p>;
  const say = (value: number) => count(language, value);
  if (!inside.attention)
    return <p>{words.tooLarge(say(inside.parameters), say(inside.attention_parameters))}</p>;
  if (read > inside.attention_tokens + 1)
    return <p>{words.tooLong(say(read), say(inside.attention_tokens))}</p>;
  return <Looking {...props} />;
}

function Looking({ inside, reply, position, onPosition }: Props) {
  const text = useText();
  const words = text.inside;
  const [layer, setLayer] = useState(Math.floor(inside.layers / 2));
  const [head, setHead] = useState(0);
  const looking = lookers(inside);
  const last = looking.length - 1;
  const at = Math.min(position, last);
  if (last < 0) return <p className="soft">{words.empty}</p>;
  return (
    <div className="stack">
      <div className="row">
        <Pick label={words.layer} value={layer} count={inside.layers} onValue={setLayer} />
        <Pick label={words.head} value={head} count={inside.heads} onValue={setHead} />
      </div>
      <h3>{words.looks}</h3>
      <TokenFlow tokens={looking} position={at} onPosition={onPosition} label={words.looks} />
      <Seen reply={reply} what={{ layer, head, position: at }} />
    </div>
  );
}

function Seen({
  reply,
  what,
}: {
  reply: Reply;
  what: { layer: number; head: number; position: number };
}) {
  const text = useText();
  const words = text.inside;
  const query = useAttention(reply, what);
  return (
    <>
      <h3>{words.looksAt}</h3>
      <p className="small soft">{words.looksWhy}</p>
      {query.isPending ? <p role="status">{words.viewing}</p> : null}
      {query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : null}
      {query.data ? (
        <div className="stack" aria-busy={query.isPlaceholderData}>
          <Weights seen={query.data} />
          <Strongest seen={query.data} />
        </div>
      ) : null}
    </>
  );
}

function Weights({ seen }: { seen: Attention }) {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  return (
    <div
      className="token-flow looked"
      translate="no"
      role="group"
      aria-label={words.looksAt}
      tabIndex={0}
    >
      {seen.pieces.map((piece, at) => (
        <span
          key={at}
          className="token"
          title={`${inline(piece)} · ${share(language, seen.weights[at] ?? 0)}`}
          style={{ "--weight": `${Math.round(45 * Math.sqrt(seen.weights[at] ?? 0))}%` } as object}
        >
          {visible(seen.shown[at] ?? "") || "·"}
        </span>
      ))}
    </div>
  );
}

function Strongest({ seen }: { seen: Attention }) {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  const order = useMemo(
    () =>
      seen.weights
        .map((weight, at) => ({ weight, at }))
        .sort((a, b) => b.weight - a.weight)
        .slice(0, STRONGEST),
    [seen],
  );
  return (
    <div className="others">
      <table>
        <caption>{words.strongest}</caption>
        <thead>
          <tr>
            <th scope="col">{words.token}</th>
            <th scope="col">{words.where}</th>
            <th scope="col">{words.weight}</th>
          </tr>
        </thead>
        <tbody>
          {order.map(({ weight, at }) => (
            <tr key={at}>
              <th scope="row" translate="no">
                {inline(seen.pieces[at] ?? "")}
              </th>
              <td className="number">
                {at < seen.prompt_tokens
                  ? `${words.inPrompt} ${count(language, at + 1)}`
                  : `${words.inReply} ${count(language, at - seen.prompt_tokens + 1)}`}
              </td>
              <td className="chance number">
                <span
                  className="share"
                  style={{ inlineSize: `${weight * 100}%` }}
                  aria-hidden="true"
                />
                <span>{share(language, weight)}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface PickProps {
  label: string;
  value: number;
  count: number;
  onValue: (value: number) => void;
}

/** A layer or head, counted from 1 as people count. */
function Pick({ label, value, count: all, onValue }: PickProps) {
  const id = useId();
  return (
    <span className="pick">
      <label htmlFor={id} className="small">
        {label}
      </label>
      <select
        id={id}
        className="field"
        value={value}
        onChange={(event) => onValue(Number(event.target.value))}
      >
        {Array.from({ length: all }, (_, at) => (
          <option key={at} value={at}>
            {at + 1}
          </option>
        ))}
      </select>
    </span>
  );
}
