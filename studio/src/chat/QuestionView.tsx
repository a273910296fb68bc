import { memo, useEffect, useRef, useState } from "react";

import { useMessage, useTalk } from "../conversation/context";
import type { Id, Message } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { CopyButton } from "../ui/CopyButton";
import { EditIcon, MoreIcon, TrashIcon } from "../ui/icons";
import { Menu } from "../ui/Menu";
import { Branches } from "./Branches";
import { Editing } from "./Editing";
import { Files } from "./Files";
import { usePlace } from "./place";
import { TroubleAt } from "./Trouble";
import { Unread } from "./Unread";
import { PlainText } from "../prose/PlainText";

interface Props {
  id: Id;
  /** Questions at the same place, oldest first. */
  siblings: readonly Id[];
  height: number;
}

export const QuestionView = memo(function QuestionView({ id, siblings, height }: Props) {
  const text = useText();
  const place = usePlace();
  const { acts } = useTalk();
  const question = useMessage(place.conversation, id);
  if (!question) return <Unread height={height} kind="question" />;
  const editing = place.editing === id;
  return (
    <article className="question" id={`message-${id}`} aria-label={text.chat.you}>
      {editing ? (
        <EditQuestion key={id} question={question} />
      ) : (
        <div className="bubble">
          <LongText key={id} words={question.text} />
          <Files files={question.attachments} />
        </div>
      )}
      <TroubleAt message={id} />
      {editing ? null : (
        <footer>
          <Branches
            at={siblings.indexOf(id)}
            of={siblings.length}
            kind="question"
            onStep={(to) => void acts.show(place.conversation, siblings[to] ?? id)}
          />
          <CopyButton text={question.text} label={text.chat.copyMessage} />
          <button
            type="button"
            className="button quiet square"
            aria-label={text.chat.edit}
            title={text.chat.edit}
            onClick={() => place.edit(id)}
          >
            <EditIcon size={16} />
          </button>
          <Menu label={text.chat.more} icon={<MoreIcon size={16} />}>
            <button
              type="button"
              className="button quiet"
              onClick={() => {
                void acts.remove(place.conversation, id);
                place.toField();
              }}
            >
              <TrashIcon size={16} />
              {text.chat.remove}
            </button>
          </Menu>
        </footer>
      )}
    </article>
  );
});

function EditQuestion({ question }: { question: Message }) {
  const text = useText();
  const { conversation, how, edit, toField } = usePlace();
  const { acts } = useTalk();
  const asking = useArrival(how);
  return (
    <Editing
      name={question.id}
      text={question.text}
      label={text.chat.edit}
      save={text.chat.send}
      hint={text.chat.editHint}
      onClose={() => {
        edit(null);
        toField();
      }}
      onSave={async (words) => acts.instead(conversation, question, words, await asking())}
    />
  );
}

/** Gives a value as soon as there is one: what is sent before the models are named waits for them. */
function useArrival<T>(value: T | null): () => Promise<T> {
  const waiting = useRef<((value: T) => void)[]>([]);
  useEffect(() => {
    if (value !== null) for (const go of waiting.current.splice(0)) go(value);
  }, [value]);
  return () =>
    value !== null
      ? Promise.resolve(value)
      : new Promise((resolve) => {
          waiting.current.push(resolve);
        });
}

/** UTF-16 units that are shown at once: layout of more takes longer than a person waits. */
const SHOWN = 6000;
const STEP = 100_000;

/** A person's words as they are; of very many only the beginning, until more is asked for. */
export function LongText({ words }: { words: string }) {
  const text = useText();
  const language = useLanguage();
  const [most, setMost] = useState(SHOWN);
  if (words.length <= most)
    return (
      <p dir="auto">
        <PlainText text={words} />
      </p>
    );
  const left = count(language, words.length - most);
  return (
    <>
      <p dir="auto">
        <PlainText text={`${wholeCharacters(words, most)}…`} />
      </p>
      <button type="button" className="button fit" onClick={() => setMost(most + STEP)}>
        {text.chat.showMore(left)}
      </button>
    </>
  );
}

/** The first `most` UTF-16 units, and no half of a character. */
export function wholeCharacters(words: string, most: number): string {
  const last = words.charCodeAt(most - 1);
  return words.slice(0, last >= 0xd800 && last < 0xdc00 ? most - 1 : most);
}
