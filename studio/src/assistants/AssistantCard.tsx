import { use } from "react";
import { Link, useNavigate } from "react-router";

import type { AssistantShown } from "../api/assistants";
import { useTalk } from "../conversation/context";
import { useLanguage, useText } from "../i18n";
import { ChatButton } from "../models/ModelTable";
import { SettingsContext } from "../settings/context";
import { WarnIcon } from "../ui/icons";
import { inLanguage, titleOf } from "./gallery";

interface Props {
  assistant: AssistantShown;
  /** The model of those that name none. */
  usual: string;
  onRemove: () => void;
}

/** One assistant: what it does, with what, and how one begins. */
export function AssistantCard({ assistant, usual, onRemove }: Props) {
  const text = useText();
  const language = useLanguage();
  const words = text.assistants;
  const { name, own, problem } = assistant;
  const title = titleOf(assistant, language);
  const address = encodeURIComponent(name);
  return (
    <li className="assistant">
      <h2 lang="">
        <Link to={`/assistants/${address}`}>{title}</Link>
      </h2>
      <p className="small soft">
        <code translate="no">{name}</code> · {kindOf(assistant, words)}
      </p>
      {problem ? (
        <div className="notice bad">
          <WarnIcon size={18} />
          <div className="stack">
            <strong>{words.broken}</strong>
            <p className="said" lang="en" dir="auto">
              {problem.message}
            </p>
          </div>
        </div>
      ) : (
        <p className="about" lang="">
          {inLanguage(assistant.about, language)}
        </p>
      )}
      {problem ? null : <Made assistant={assistant} usual={usual} />}
      {problem ? null : <Starters assistant={assistant} />}
      <div className="row acts">
        {problem ? null : <ChatButton name={name} />}
        <Link
          className="button"
          to={`/assistants/${address}`}
          aria-label={problem ? words.mendName(title) : words.changeName(title)}
        >
          {problem ? words.mend : words.change}
        </Link>
        <Link
          className="button quiet"
          to={`/assistants/-new?like=${address}`}
          aria-label={words.copyName(title)}
        >
          {words.copy}
        </Link>
        {own ? (
          <button
            type="button"
            className="button quiet"
            aria-label={words.removeName(title)}
            onClick={onRemove}
          >
            {words.remove}
          </button>
        ) : null}
      </div>
    </li>
  );
}

function kindOf({ own, hides }: AssistantShown, words: ReturnType<typeof useText>["assistants"]) {
  if (!own) return words.readyOne;
  return hides ? words.hiding : words.yours;
}

/** Its model, and what it has beside it. */
function Made({ assistant, usual }: { assistant: AssistantShown; usual: string }) {
  const text = useText();
  const words = text.assistants;
  const { models, router, tools, technique, memory } = assistant;
  return (
    <dl className="made small">
      <div>
        <dt>{router ? words.router : words.model}</dt>
        <dd translate="no">{models.length > 0 ? models.join(", ") : usual}</dd>
      </div>
      {technique === null ? null : (
        <div>
          <dt>{words.technique}</dt>
          <dd translate="no">{technique}</dd>
        </div>
      )}
      {tools.length === 0 ? null : (
        <div>
          <dt>{words.tools}</dt>
          <dd translate="no">{tools.join(", ")}</dd>
        </div>
      )}
      {memory ? (
        <div>
          <dt>{words.memoryShort}</dt>
          <dd>{words.remembers}</dd>
        </div>
      ) : null}
    </dl>
  );
}

/** Questions to begin with: one of them goes into the composer. */
function Starters({ assistant }: { assistant: AssistantShown }) {
  const text = useText();
  const language = useLanguage();
  const { change } = use(SettingsContext);
  const { drafts } = useTalk();
  const navigate = useNavigate();
  const said = assistant.starters
    .map((one) => inLanguage(one, language))
    .filter((one) => one !== "");
  if (said.length === 0) return null;
  return (
    <ul className="starters" aria-label={text.assistants.starters}>
      {said.slice(0, 2).map((one) => (
        <li key={one}>
          <button
            type="button"
            className="button example"
            lang=""
            translate="no" // what is sent, in whatever language
            onClick={() => {
              change({ model: assistant.name });
              drafts.write(null, one);
              void navigate("/chat");
            }}
          >
            {one}
          </button>
        </li>
      ))}
    </ul>
  );
}
