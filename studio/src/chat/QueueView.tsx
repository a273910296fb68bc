import { useEffect, useState, type ReactNode } from "react";

import { useTalk } from "../conversation/context";
import { standsInQueue } from "../conversation/shown";
import type { Id, Queued, Shown } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { CloseIcon, DownIcon, EditIcon, SendIcon, SteerIcon, UpIcon } from "../ui/icons";
import { Editing } from "./Editing";
import { Files } from "./Files";
import { OnItsWay } from "./OnItsWay";
import { usePlace } from "./place";
import { wholeCharacters } from "./QuestionView";
import { TroubleAt } from "./Trouble";
import { PlainText } from "../prose/PlainText";

/** Messages that wait for their turn, in order, above the composer. */
export function QueueView({ shown }: { shown: Shown }) {
  const text = useText();
  const language = useLanguage();
  const { acts } = useTalk();
  const { toField } = usePlace();
  const [editing, edit] = useEdited(shown.queue);
  // Behind one that has not gone out they stand with it, below the conversation.
  const stuck = shown.sending.some((one) => one.failure !== null);
  const coming = stuck ? [] : shown.sending.filter(standsInQueue);
  const { queue } = shown;
  if (queue.length === 0 && coming.length === 0) return null;
  const held = shown.live.length === 0 && queue.length > 0;
  return (
    <section className="queue" aria-label={text.queue.title}>
      <header>
        <h2>{text.queue.waiting(count(language, queue.length + coming.length))}</h2>
        {held ? <span className="small soft">{text.queue.held}</span> : null}
        {queue.length > 1 || shown.live.length > 0 ? (
          <button
            type="button"
            className="button quiet"
            title={text.queue.steerWhy}
            onClick={() => {
              void acts.steer(shown.id);
              toField();
            }}
          >
            <SteerIcon size={16} />
            {text.queue.steer}
          </button>
        ) : null}
      </header>
      <ol>
        {queue.map((item, at) => (
          <Item
            key={item.id}
            item={item}
            at={at}
            of={queue.length}
            editing={editing === item.id}
            onEdit={edit}
          />
        ))}
        {coming.map((one) => (
          <li key={one.body.id} className="coming">
            <p dir="auto">
              <PlainText text={beginning(one.body.text)} />
            </p>
            <div className="row">
              <OnItsWay sending={one} head={shown.sending[0]?.body.id} />
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** The item that is changed. When its turn comes meanwhile, the changed words go to the composer. */
function useEdited(queue: readonly Queued[]): [Id | null, (item: Id | null) => void] {
  const { drafts } = useTalk();
  const { takeBack } = usePlace();
  const [editing, setEditing] = useState<Id | null>(
    () => queue.find((item) => drafts.edit(item.id) !== null)?.id ?? null,
  );
  const left = editing !== null && !queue.some((item) => item.id === editing);
  useEffect(() => {
    if (!left) return;
    const words = drafts.edit(editing);
    drafts.writeEdit(editing, null);
    if (words !== null) takeBack(words, []);
  }, [left, editing, drafts, takeBack]);
  return [editing, setEditing];
}

/** Characters of a waiting message that are shown. */
const SHOWN = 2000;

function beginning(words: string): string {
  return words.length <= SHOWN ? words : `${wholeCharacters(words, SHOWN)}…`;
}

interface ItemProps {
  item: Queued;
  at: number;
  of: number;
  editing: boolean;
  onEdit: (item: Id | null) => void;
}

function Item({ item, at, of, editing, onEdit }: ItemProps) {
  const text = useText();
  const language = useLanguage();
  const { acts } = useTalk();
  const { conversation, toField, takeBack } = usePlace();
  const act = (run: (conversation: Id, item: Id) => Promise<boolean>) => () => {
    void run(conversation, item.id);
    toField(); // the row that was pressed in may go
  };
  const withdraw = async (id: Id, one: Id) => {
    const gone = await acts.withdraw(id, one);
    if (gone) takeBack(item.text, item.attachments);
    return gone;
  };
  const place = count(language, at + 1);
  return (
    <li aria-label={text.queue.place(place)}>
      {editing ? (
        <Editing
          name={item.id}
          text={item.text}
          label={text.queue.edit}
          save={text.queue.save}
          allowEmpty={item.attachments.length > 0}
          onClose={() => {
            onEdit(null);
            toField();
          }}
          onSave={(words) => acts.rewrite(conversation, item.id, words)}
        />
      ) : (
        <>
          <div className="words">
            <p dir="auto">
              <PlainText text={beginning(item.text)} />
            </p>
            <Files files={item.attachments} />
          </div>
          <div className="acts">
            <Act
              label={text.queue.edit}
              run={() => onEdit(item.id)}
              icon={<EditIcon size={16} />}
            />
            {at > 0 ? (
              <Act
                label={text.queue.mergeUp}
                run={act((id, one) => acts.merge(id, one, "previous"))}
                icon={<UpIcon size={16} />}
              />
            ) : null}
            {at < of - 1 ? (
              <Act
                label={text.queue.mergeDown}
                run={act((id, one) => acts.merge(id, one, "next"))}
                icon={<DownIcon size={16} />}
              />
            ) : null}
            <Act label={text.queue.now} run={act(acts.now)} icon={<SendIcon size={16} />} />
            <Act label={text.queue.withdraw} run={act(withdraw)} icon={<CloseIcon size={16} />} />
          </div>
        </>
      )}
      <TroubleAt message={item.id} />
    </li>
  );
}

function Act({ label, run, icon }: { label: string; run: () => void; icon: ReactNode }) {
  return (
    <button
      type="button"
      className="button quiet square"
      aria-label={label}
      title={label}
      onClick={run}
    >
      {icon}
    </button>
  );
}
