import type { Inside, Reply } from "../api/inside";
import { useLanguage, useText } from "../i18n";
import { count, decimal } from "../i18n/format";
import { InfoIcon } from "../ui/icons";
import { ChosenToken } from "./ChosenToken";
import { STEPS } from "./pieces";
import { TokenFlow } from "./TokenFlow";

interface Props {
  inside: Inside;
  reply: Reply;
  position: number;
  onPosition: (position: number) => void;
  /** Brings more tokens; null where all are there. */
  onMore: (() => void) | null;
  onContinue: (beginning: string) => void;
}

/** The reply's tokens, shaded by how unsure the model was, and the chosen one in full. */
export function TokensView({ inside, reply, position, onPosition, onMore, onContinue }: Props) {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  const { tokens, total } = inside;
  const token = tokens[position];
  if (!token) return <p className="soft">{words.empty}</p>;
  return (
    <div className="inside-tokens">
      <div className="stack">
        {inside.exact ? null : (
          <p className="notice">
            <InfoIcon size={18} />
            <span>{words.cut}</span>
          </p>
        )}
        <Legend />
        <TokenFlow
          tokens={tokens}
          position={position}
          onPosition={onPosition}
          label={words.pieces}
        />
        <div className="row small soft">
          <span className="number">
            {words.shown(count(language, tokens.length), count(language, total))}
          </span>
          <span className="arrows">{words.keys}</span>
          {onMore ? (
            <button type="button" className="button" onClick={onMore}>
              {words.more}
            </button>
          ) : null}
        </div>
      </div>
      <ChosenToken {...{ inside, reply, position, token, onContinue }} />
    </div>
  );
}

function Legend() {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  return (
    <div className="legend small">
      <span>{words.legend}</span>
      <ul>
        {[0, ...STEPS].map((bits, at) => (
          <li key={bits}>
            <span className={`token sure-${at}`} aria-hidden="true">
              {"   "}
            </span>{" "}
            <span className="number">
              {`${at === 0 ? "<" : "≥"} ${words.bits(decimal(language, at === 0 ? STEPS[0] : bits))}`}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
