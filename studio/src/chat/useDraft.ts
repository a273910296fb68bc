import { useCallback, useState } from "react";

import { useTalk } from "../conversation/context";
import type { Attached } from "../conversation/types";

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

/** The files of what is not sent yet, kept as the words are. */
export function useDraftFiles(conversation: string | null) {
  const { drafts } = useTalk();
  const [files, setFiles] = useState<readonly Attached[]>(() => drafts.files(conversation));
  const change = useCallback(
    (next: (files: readonly Attached[]) => readonly Attached[]) => {
      // Read again: two uploads may end at the same time.
      const then = next(drafts.files(conversation));
      drafts.writeFiles(conversation, then);
      setFiles(then);
    },
    [drafts, conversation],
  );
  return [files, change] as const;
}
