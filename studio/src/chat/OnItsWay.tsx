import { useEffect, useState } from "react";

import { useTalk } from "../conversation/context";
import type { Id, Sending } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { EditIcon, TrashIcon } from "../ui/icons";
import { usePlace } from "./place";

/** Seconds without an answer until a message can be taken back. */
const LONG = 2;

interface Props {
  sending: Sending;
  /** The message that is sent at the moment; others go out after it. */
  head: Id | undefined;
}

/** A message that the server has not answered yet: for how long, and what can be done about it. */
export function OnItsWay({ sending, head }: Props) {
  const text = useText();
  const language = useLanguage();
  const seconds = useSecondsSent(head);
  if (seconds < LONG)
    return (
      <p className="small soft" role="status">
        {text.chat.sending}
      </p>
    );
  const first = sending.body.id === head;
  return (
    <>
      <p className="small soft" role="status">
        {first ? text.chat.perhapsSent : text.chat.behind}
      </p>
      {/* Apart from the status: nobody wants to hear every second. */}
      {first ? (
        <span className="small soft number">{text.chat.sentFor(count(language, seconds))}</span>
      ) : null}
      <TakeBack sending={sending} />
    </>
  );
}

/** Buttons that take a message back, to be written anew or not at all. */
export function TakeBack({ sending: { body } }: Pick<Props, "sending">) {
  const text = useText();
  const { acts } = useTalk();
  const { conversation, takeBack, toField } = usePlace();
  const discard = (keep: boolean) => {
    const found = acts.discard(conversation, body.id);
    if (found && keep) takeBack(found.body.text, found.attachments);
    else toField();
  };
  return (
    <>
      <button type="button" className="button" onClick={() => discard(true)}>
        <EditIcon size={16} />
        {text.chat.edit}
      </button>
      <button type="button" className="button" onClick={() => discard(false)}>
        <TrashIcon size={16} />
        {text.chat.discard}
      </button>
    </>
  );
}

function useSecondsSent(message: Id | undefined): number {
  const { acts } = useTalk();
  const [{ of, seconds }, setSent] = useState<{ of?: Id; seconds: number }>({ seconds: 0 });
  useEffect(() => {
    if (message === undefined) return;
    const tell = () => setSent({ of: message, seconds: Math.floor(acts.waited(message) / 1000) });
    tell();
    const timer = setInterval(tell, 250);
    return () => clearInterval(timer);
  }, [acts, message]);
  return of === message ? seconds : 0; // the one before it may have waited for long
}
