import { useState } from "react";

import type { Inside, Reply, Sliders, Token, Weighed } from "../api/inside";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import type { Language } from "../i18n/catalogue";
import { count, decimal } from "../i18n/format";
import { Failed } from "../ui/Failed";
import { beginning, inline } from "./pieces";
import { SamplingSliders } from "./SamplingSliders";
import { useName } from "./TokenFlow";
import { useWeighed } from "./useInside";

interface Props {
  inside: Inside;
  reply: Reply;
  position: number;
  token: Token;
  onContinue: (beginning: string) => void;
}

/** A token in full: how likely it was, what else might have stood there, what sampling does. */
export function ChosenToken({ inside, reply, position, token, onContinue }: Props) {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  const [sliders, setSliders] = useState<Sliders>(inside.drawn);
  const query = useWeighed(reply, position, sliders);
  const name = useName(token);
  const list = query.data;
  const isOfAnother = list !== undefined && list.position !== position;
  return (
    <section className="chosen-token stack" aria-label={words.chosen}>
      <h3 translate="no">{name}</h3>
      <dl className="figures">
        <Figure name={words.chance} value={share(language, Math.exp(token.logprob))} />
        <Figure name={words.rank} value={count(language, token.rank)} />
        <Figure name={words.entropy} value={words.bits(decimal(language, token.entropy, 2))} />
      </dl>
      <SamplingSliders sliders={sliders} drawn={inside.drawn} onChange={setSliders} />
      <p role="status" className="small">
        {list && !isOfAnother
          ? words.alive(count(language, list.alive), count(language, list.vocabulary))
          : null}
      </p>
      {query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : null}
      <div className="others" aria-busy={isOfAnother}>
        <table>
          <caption>{words.others}</caption>
          <thead>
            <tr>
              <th scope="col">{words.token}</th>
              <th scope="col">{words.before}</th>
              <th scope="col">{words.after}</th>
              <th scope="col">
                <span className="unseen">{words.goOn}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {list?.data.map((one) => (
              <Row
                key={one.id}
                one={one}
                here={!isOfAnother && one.id === token.id}
                begin={isOfAnother || one.id === token.id ? null : beginning(inside, token, one)}
                onContinue={onContinue}
              />
            ))}
          </tbody>
        </table>
      </div>
      <p className="small soft">{words.goOnWhy}</p>
    </section>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt className="small soft">{name}</dt>
      <dd className="number">{value}</dd>
    </div>
  );
}

interface RowProps {
  one: Weighed;
  here: boolean;
  /** What the reply would go on from; null where it cannot. */
  begin: string | null;
  onContinue: (beginning: string) => void;
}

function Row({ one, here, begin, onContinue }: RowProps) {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  const name = useName(one);
  return (
    <tr className={one.after > 0 ? "" : "cut"} aria-current={here}>
      <th scope="row">
        <span translate="no" className={one.kind} title={name}>
          {inline(one.piece)}
        </span>
        {here ? <span className="here small">{words.here}</span> : null}
      </th>
      <Chance value={one.before} text={share(language, one.before)} />
      <Chance value={one.after} text={one.after > 0 ? share(language, one.after) : words.never} />
      <td className="act">
        {begin === null ? null : (
          <button
            type="button"
            className="button"
            aria-label={words.goOnWith(name)}
            onClick={() => onContinue(begin)}
          >
            {words.goOn}
          </button>
        )}
      </td>
    </tr>
  );
}

function Chance({ value, text }: { value: number; text: string }) {
  return (
    <td className="chance number">
      <span className="share" style={{ inlineSize: `${value * 100}%` }} aria-hidden="true" />
      <span>{text}</span>
    </td>
  );
}

/** A probability: 12.3%, and small ones with as many digits as it takes to see them. */
export function share(language: Language, value: number): string {
  const percent = value * 100;
  if (percent > 0 && percent < 0.001) return `< ${decimal(language, 0.001, 3)}%`;
  return `${decimal(language, percent, percent < 1 ? 3 : 1)}%`;
}
