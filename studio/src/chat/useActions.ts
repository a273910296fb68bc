import { useRef, type RefObject } from "react";
import { useNavigate } from "react-router";

import type { Asking } from "../conversation/chats";
import { useTalk } from "../conversation/context";
import type { Reply } from "../conversation/types";
import { focusWithoutKeyboard } from "../ui/keys";

interface Place {
  /** The conversation of this page; null while it has none. */
  id: string | null;
  /** With what replies are asked for; null while nobody can be asked. */
  how: Asking | null;
  draft: string;
  setDraft: (text: string) => void;
  field: RefObject<HTMLTextAreaElement | null>;
  /** Goes to the newest words. */
  toEnd: () => void;
}

/** What a person can do on the chat page, so that nothing typed is lost and the focus has a place. */
export function useActions({ id, how, draft, setDraft, field, toEnd }: Place) {
  const navigate = useNavigate();
  const { chats, drafts } = useTalk();
  const left = useRef(false); // this page gives way to another, and sends nothing more

  /** Sends `what` and leaves `rest` in the field. */
  const send = (what: string, rest: string) => {
    if (!how || left.current) return;
    const to = chats.send(id, what, how);
    if (to === null) return;
    if (to === id) {
      setDraft(rest);
      return toEnd();
    }
    left.current = true;
    setDraft("");
    drafts.write(to, rest);
    void navigate(`/chat/${to}`, { replace: true });
  };

  const retry = (reply: Reply, key?: string) => {
    if (id === null || !how) return;
    // A key that was entered this moment is not in the settings of this rendering yet.
    chats.retry(id, reply, key === undefined ? how : { ...how, connection: { key } });
    toField(); // the button that was pressed goes
  };

  const takeBack = (reply: Reply) => {
    if (id === null) return;
    const question = chats.takeBack(id, reply);
    setDraft(draft.trim() === "" ? question : `${question}\n\n${draft}`);
    field.current?.focus();
  };

  const toField = () => focusWithoutKeyboard(field.current);

  return { send, retry, takeBack, toField };
}
