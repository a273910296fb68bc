import { useRef, useState } from "react";
import { Link } from "react-router";

import { failureFrom } from "../api/useModels";
import type { Fact } from "../api/memory";
import { useLanguage, useText } from "../i18n";
import type { Language } from "../i18n/catalogue";
import { plainLine } from "../prose/tame";
import { Failed } from "../ui/Failed";
import { EditIcon, TrashIcon } from "../ui/icons";
import { LineForm } from "../ui/LineForm";
import type { FactActs } from "./useFacts";

/** Characters of a fact: the server's own limit. */
const MOST = 1000;
/** Characters of a fact that a button's name has. */
const NAMED = 60;

interface Props {
  fact: Fact;
  acts: FactActs;
  onRemove: (fact: Fact) => void;
}

/** Something that is remembered: where it is from, and what can be done with it. */
export function FactRow({ fact, acts, onRemove }: Props) {
  const text = useText();
  const [editing, setEditing] = useState(false);
  const edit = useRef<HTMLButtonElement>(null);
  const name = named(fact);
  const { change } = acts;
  const failed = change.isError && change.variables.id === fact.id;
  return (
    <li className="fact">
      {editing ? (
        <LineForm
          label={text.memory.text}
          value={fact.text}
          save={text.memory.save}
          maxLength={MOST}
          back={() => edit.current}
          onCancel={() => setEditing(false)}
          onSave={(words) => {
            if (words === "" || words === fact.text) return setEditing(false);
            change.mutate({ id: fact.id, text: words }, { onSuccess: () => setEditing(false) });
          }}
        />
      ) : (
        <p dir="auto" className="sample">
          {fact.text}
        </p>
      )}
      {failed ? <Failed failure={failureFrom(change.error)} onRetry={null} /> : null}
      <Where fact={fact} />
      <div className="row">
        {editing ? (
          <button type="button" className="button quiet" onClick={() => setEditing(false)}>
            {text.memory.cancel}
          </button>
        ) : (
          <button
            ref={edit}
            type="button"
            className="button quiet"
            aria-label={text.memory.editOf(name)}
            onClick={() => setEditing(true)}
          >
            <EditIcon size={16} />
            {text.memory.edit}
          </button>
        )}
        <button
          type="button"
          className="button quiet"
          aria-label={text.memory.deleteOf(name)}
          onClick={() => onRemove(fact)}
        >
          <TrashIcon size={16} />
          {text.memory.delete}
        </button>
      </div>
    </li>
  );
}

/** The beginning of a fact, for names of buttons. */
export function named(fact: Fact): string {
  const line = plainLine(fact.text);
  return line.length <= NAMED ? line : `${[...line].slice(0, NAMED - 1).join("")}…`;
}

function Where({ fact }: { fact: Fact }) {
  const text = useText();
  const language = useLanguage();
  const { source } = fact;
  return (
    <p className="small soft where">
      <span>{dated(language, fact.created_at)}</span>
      {fact.changed_at > fact.created_at ? (
        <span>{text.memory.changedAt(dated(language, fact.changed_at))}</span>
      ) : null}
      {fact.assistant === null ? null : (
        <span translate="no">{text.memory.by(fact.assistant)}</span>
      )}
      {source === null ? (
        <span>{text.memory.sourceGone}</span>
      ) : (
        <span>
          {text.memory.from}{" "}
          <Link to={`/chat/${source.id}`} translate="no">
            <bdi>{plainLine(source.title) || text.memory.untitled}</bdi>
          </Link>
        </span>
      )}
    </p>
  );
}

function dated(language: Language, seconds: number): string {
  const at = new Date(seconds * 1000);
  return at.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}
