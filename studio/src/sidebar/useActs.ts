import { use, useCallback, useRef, useState } from "react";
import { useLocation, useMatch, useNavigate } from "react-router";

import type { Summary } from "../api/conversations";
import type { Failure } from "../api/errors";
import {
  changeConversation,
  deleteConversation,
  renameFolder,
  restoreConversation,
  shareConversation,
  type Change,
  type ShareFormat,
} from "../api/list";
import { failureFrom } from "../api/useModels";
import { useLanguage } from "../i18n";
import { SettingsContext } from "../settings/context";
import { saveFile } from "../ui/saveFile";
import { useListEdits } from "./useList";

export interface Acts {
  change: (one: Summary, change: Change) => void;
  remove: (one: Summary) => void;
  removeForever: (one: Summary) => void;
  restore: (one: Summary) => void;
  share: (one: Summary, format: ShareFormat) => void;
  renameFolder: (from: string, name: string, then: () => void) => void;
  /** What was deleted last and can come back, also into view when it was seen. */
  deleted: Summary | null;
  undo: () => void;
  forget: () => void;
  /** What did not work, and how it is tried again. */
  failure: Failure | null;
  retry: (() => void) | null;
}

/** What a person does with conversations in the list; the server says what became of it. */
export function useActs(): Acts {
  const to = use(SettingsContext).settings;
  const language = useLanguage();
  const navigate = useNavigate();
  const { search } = useLocation(); // which conversations are listed
  const shown = useMatch("/chat/:conversation")?.params.conversation;
  const edits = useListEdits();
  const [deleted, setDeleted] = useState<Summary | null>(null);
  const [failed, setFailed] = useState<{ failure: Failure; again: () => void } | null>(null);
  const from = useRef<string | null>(null); // the conversation that was left when it was deleted

  const doing = useCallback((work: () => Promise<void>) => {
    const run = () => {
      setFailed(null);
      work().catch((error: unknown) => {
        const failure = failureFrom(error instanceof Error ? error : new Error(String(error)));
        setFailed({ failure, again: run });
      });
    };
    run();
  }, []);

  return {
    change: (one, change) =>
      doing(async () => edits.changed(await changeConversation(to, one.id, change))),
    remove: (one) =>
      doing(async () => {
        edits.changed(await deleteConversation(to, one.id));
        setDeleted(one);
        from.current = shown === one.id ? one.id : null;
        if (shown === one.id) void navigate({ pathname: "/chat", search });
      }),
    removeForever: (one) =>
      doing(async () => {
        await deleteConversation(to, one.id, true);
        edits.gone(one.id);
      }),
    restore: (one) =>
      doing(async () => {
        edits.changed(await restoreConversation(to, one.id));
        if (deleted?.id === one.id) setDeleted(null);
      }),
    undo: () =>
      doing(async () => {
        if (!deleted) return;
        edits.changed(await restoreConversation(to, deleted.id));
        setDeleted(null);
        if (from.current === deleted.id) void navigate({ pathname: `/chat/${deleted.id}`, search });
      }),
    share: (one, format) =>
      doing(async () => {
        const { file, name } = await shareConversation(to, one.id, format, language);
        saveFile(file, name);
      }),
    renameFolder: (name, wanted, then) =>
      doing(async () => {
        await renameFolder(to, name, wanted);
        edits.again();
        then();
      }),
    deleted,
    forget: () => setDeleted(null),
    failure: failed?.failure ?? null,
    retry: failed?.again ?? null,
  };
}
