import { useEffect, useState, type ReactNode } from "react";
import { Link } from "react-router";

import { DEFAULT_MODEL } from "../api/models";
import { useLanguage, useText } from "../i18n";
import { Command } from "../ui/Command";
import { InfoIcon } from "../ui/icons";

interface EmptyProps {
  onAsk: ((text: string) => void) | null;
  /** Whether the small default answers, which is asked in English only. */
  small: boolean;
  /** What is to be known of the model; for Japanese readers it comes before anything to try. */
  notice: ReactNode;
}

/** Before the first message: what this is for, and something to try that works. */
export function EmptyChat({ onAsk, small, notice }: EmptyProps) {
  const text = useText();
  const japanese = useLanguage() === "ja";
  return (
    <section className="empty">
      <p className="teach">{text.chat.teach}</p>
      {japanese ? notice : null}
      <h2 className="small soft">{small ? text.chat.examplesSmall : text.chat.examples}</h2>
      <ul>
        {(small ? text.chat.promptsSmall : text.chat.prompts).map((prompt) => (
          <li key={prompt}>
            <button
              type="button"
              className="button example"
              {...(small ? { lang: "en" } : {})}
              disabled={!onAsk}
              onClick={() => onAsk?.(prompt)}
            >
              {prompt}
            </button>
          </li>
        ))}
      </ul>
      {japanese ? null : notice}
    </section>
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
