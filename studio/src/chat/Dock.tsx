import { useSyncExternalStore, type ReactNode, type RefObject } from "react";

import { failure } from "../api/errors";
import type { useModels } from "../api/useModels";
import { useTalk, useTrouble } from "../conversation/context";
import { isPending } from "../conversation/shown";
import type { Attached, Message, Shown } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { bytes } from "../i18n/format";
import { useGoOn } from "../ui/useGoOn";
import { Announcer } from "./Announcer";
import { Composer, type When } from "./Composer";
import { usePlace } from "./place";
import { QueueView } from "./QueueView";
import { ServerNews } from "./ServerNews";
import { TroubleNotice } from "./Trouble";
import { MOST_BYTES, useUploads } from "./useUploads";
import type { Windowing } from "./windowing";

interface Props {
  shown: Shown | null;
  windowing: Windowing;
  query: ReturnType<typeof useModels>;
  newest: Message | null;
  notice: ReactNode;
  composer: {
    draft: string;
    setDraft: (text: string) => void;
    files: readonly Attached[];
    setFiles: (next: (files: readonly Attached[]) => readonly Attached[]) => void;
    field: RefObject<HTMLTextAreaElement | null>;
  };
  onSend: ((when: When) => void) | null;
  onStop: (() => void) | null;
  /** A key was entered, and its form goes. */
  onKey: () => void;
}

/** What stands below the conversation: news, what waits, and the composer. */
export function Dock({ shown, windowing, query, newest, notice, composer, ...more }: Props) {
  const text = useText();
  const language = useLanguage();
  const { atEnd } = useSyncExternalStore(windowing.subscribe, windowing.snapshot);
  const most = bytes(language, MOST_BYTES);
  const tooBig = (size: number) =>
    failure("refused", text.chat.tooBig(bytes(language, size), most));
  const { uploads, add, drop } = useUploads(composer.setFiles, tooBig);
  return (
    <div className="dock">
      <Announcer reply={newest} expected={(shown?.sending.length ?? 0) > 0} />
      {shown === null || atEnd ? null : (
        <button type="button" className="button toEnd" onClick={windowing.toEnd}>
          {text.chat.toBottom}
        </button>
      )}
      <ServerNews query={query} newest={newest} onKey={more.onKey} />
      {notice}
      {shown ? <Notices shown={shown} /> : null}
      {shown ? <QueueView shown={shown} /> : null}
      <Composer
        draft={composer.draft}
        onDraft={composer.setDraft}
        files={composer.files}
        uploads={uploads}
        onFiles={add}
        onRemoveFile={(id) => composer.setFiles((all) => all.filter((one) => one.id !== id))}
        onDropUpload={drop}
        onSend={more.onSend}
        onStop={more.onStop}
        waits={shown !== null && isPending(shown)}
        field={composer.field}
      />
    </div>
  );
}

/** What was deleted and can come back, and what failed for the whole conversation. */
function Notices({ shown }: { shown: Shown }) {
  const text = useText();
  const { acts } = useTalk();
  const { toField } = usePlace();
  const undo = useGoOn(() => () => void toField());
  const trouble = useTrouble(shown.id);
  const known = isSeen(shown, trouble?.on ?? null);
  return (
    <>
      {trouble && !known ? <TroubleNotice conversation={shown.id} /> : null}
      {shown.undo === null ? null : (
        <div className="notice undo" role="status">
          <span>{text.chat.removed}</span>
          <button
            ref={undo}
            type="button"
            className="button"
            onClick={() => void acts.putBack(shown.id)}
          >
            {text.chat.undo}
          </button>
        </div>
      )}
    </>
  );
}

/** Whether a failure is shown where it happened. */
function isSeen(shown: Shown, id: string | null): boolean {
  if (id === null) return false;
  return shown.path.includes(id) || shown.queue.some((item) => item.id === id);
}
