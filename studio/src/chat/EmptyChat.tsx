import { useEffect, useState, type ReactNode } from "react";
import { Link } from "react-router";

import type { AssistantShown } from "../api/assistants";
import { DEFAULT_MODEL } from "../api/models";
import { inLanguage, titleOf } from "../assistants/gallery";
import type { GoesTo } from "../assistants/goesTo";
import { useLanguage, useText } from "../i18n";
import { Command } from "../ui/Command";
import { InfoIcon } from "../ui/icons";

interface EmptyProps {
  onAsk: ((text: string) => void) | null;
  /** Whether the small default answers, which is asked in English only. */
  small: boolean;
  /** The assistant that answers, which has words and questions of its own; null for a model. */
  assistant: AssistantShown | null;
  /** Where what is written goes. */
  goesTo: GoesTo;
  /** What is to be known of the model; for Japanese readers it comes before anything to try. */
  notice: ReactNode;
}

/** Before the first message: what this is for, and something to try that works. */
export function EmptyChat({ onAsk, small, assistant, goesTo, notice }: EmptyProps) {
  const text = useText();
  const language = useLanguage();
  const japanese = language === "ja";
  const starters = (assistant?.starters ?? []).map((one) => inLanguage(one, language));
  if (assistant) {
    return (
      <section className="empty">
        <p className="teach" lang="">
          {inLanguage(assistant.about, language) || titleOf(assistant, language)}
        </p>
        <Hosts hosts={goesTo.hosts} />
        {starters.length > 0 ? <h2 className="small soft">{text.assistants.begin}</h2> : null}
        <Prompts prompts={starters} lang="" onAsk={onAsk} />
      </section>
    );
  }
  return (
    <section className="empty">
      <p className="teach">{goesTo.stays ? text.chat.teach : text.chat.teachAny}</p>
      <Hosts hosts={goesTo.hosts} />
      {japanese ? notice : null}
      <h2 className="small soft">{small ? text.chat.examplesSmall : text.chat.examples}</h2>
      <Prompts
        prompts={small ? text.chat.promptsSmall : text.chat.prompts}
        lang={small ? "en" : undefined}
        onAsk={onAsk}
      />
      {japanese ? null : notice}
    </section>
  );
}

/** To whom what is written is sent, where that is not this server's machine alone. */
function Hosts({ hosts }: { hosts: readonly string[] }) {
  const text = useText();
  const language = useLanguage();
  if (hosts.length === 0) return null;
  const named = new Intl.ListFormat(language, { type: "conjunction" }).format(hosts);
  return <p className="soft">{text.chat.goesTo(named)}</p>;
}

interface PromptsProps {
  prompts: readonly string[];
  lang: string | undefined;
  onAsk: EmptyProps["onAsk"];
}

function Prompts({ prompts, lang, onAsk }: PromptsProps) {
  return (
    <ul>
      {prompts.map((prompt) => (
        <li key={prompt}>
          <button
            type="button"
            className="button example"
            lang={lang}
            disabled={!onAsk}
            onClick={() => onAsk?.(prompt)}
          >
            {prompt}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** An address at which there is no conversation, or none any more. */
export function GoneChat({ onRestore }: { onRestore: (() => void) | null }) {
  const text = useText();
  return (
    <section className="empty">
      <p className="teach">{onRestore ? text.chat.deleted : text.chat.gone}</p>
      <p className="soft">{onRestore ? text.chat.deletedWhy : text.chat.goneWhy}</p>
      <p className="row">
        {onRestore ? (
          <button type="button" className="button primary" onClick={onRestore}>
            {text.chat.putBack}
          </button>
        ) : null}
        <Link className="button" to="/chat">
          {text.nav.newChat}
        </Link>
      </p>
    </section>
  );
}

export function NoModels() {
  const text = useText();
  return (
    <div className="notice" role="status">
      <InfoIcon size={18} />
      <div className="stack">
        <strong>{text.chat.noModels}</strong>
        <p>{text.chat.noModelsDo}</p>
        <Command command={`kataribe models pull ${DEFAULT_MODEL}`} />
      </div>
    </div>
  );
}

/** While the server has not named its models, which takes no time that one sees, or something is wrong. */
export function AskingForModels() {
  const text = useText();
  const [long, setLong] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), 1000);
    return () => clearTimeout(timer);
  }, []);
  return (
    <p role="status" className="empty soft">
      {long ? text.models.loading : ""}
    </p>
  );
}
