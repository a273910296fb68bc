import { useRef, type RefObject } from "react";
import { useLocation, useNavigate } from "react-router";

import type { Asking } from "../conversation/acts";
import { useTalk } from "../conversation/context";
import type { Attached, Id } from "../conversation/types";
import { focusWithoutKeyboard } from "../ui/keys";
import type { When } from "./Composer";

interface Place {
  /** The conversation of this page; null while it has none. */
  id: Id | null;
  /** With what replies are asked for; null while nobody can be asked. */
  how: Asking | null;
  blind: boolean;
  draft: string;
  setDraft: (text: string) => void;
  files: readonly Attached[];
  setFiles: (next: (files: readonly Attached[]) => readonly Attached[]) => void;
  field: RefObject<HTMLTextAreaElement | null>;
  /** Goes to the newest words. */
  toEnd: () => void;
}

/** What a person can do with the composer, so that nothing typed is lost. */
export function useActions(place: Place) {
  const { id, how, blind, draft, setDraft, files, setFiles, field, toEnd } = place;
  const navigate = useNavigate();
  const { search } = useLocation();
  const folder = (id === null && new URLSearchParams(search).get("folder")) || "";
  const { acts, drafts } = useTalk();
  const left = useRef(false); // this page gives way to another, and sends nothing more

  /** Says `what` with `attachments`, and leaves `rest` in the field. */
  const say = (what: string, attachments: readonly Attached[], rest: string, when: When) => {
    if (!how || left.current) return;
    const to = acts.send(id, { text: what, attachments, when, blind, folder }, how);
    const kept = attachments.length > 0 ? [] : files;
    if (to === id) {
      setDraft(rest);
      setFiles(() => kept);
      return toEnd();
    }
    left.current = true;
    setDraft("");
    setFiles(() => []);
    drafts.write(to, rest);
    drafts.writeFiles(to, kept);
    void navigate(`/chat/${to}${search}`, { replace: true });
  };

  return {
    send: (when: When) => say(draft, files, "", when),
    ask: (example: string) => say(example, [], draft, "queue"),
    takeBack: (words: string, attachments: readonly Attached[]) => {
      const now = drafts.read(id); // more may be taken back before the page is drawn again
      setDraft(now.trim() === "" ? words : `${words}\n\n${now}`);
      setFiles((all) => [...attachments, ...all]);
      field.current?.focus();
    },
    toField: () => focusWithoutKeyboard(field.current),
  };
}
