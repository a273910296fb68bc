import { useState } from "react";

import { useTalk } from "../conversation/context";

/** What is typed and not sent, kept at every keystroke so that a reload finds it. */
export function useDraft(conversation: string | null): [string, (text: string) => void] {
  const { drafts } = useTalk();
  const [draft, setDraft] = useState(() => drafts.read(conversation));
  const change = (text: string) => {
    drafts.write(conversation, text);
    setDraft(text);
  };
  return [draft, change];
}
