import { use, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useLocation, useParams } from "react-router";

import { isSmallDefault } from "../api/models";
import { useConversation, useMessage, useTalk } from "../conversation/context";
import type { Id, Message, Shown } from "../conversation/types";
import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { ChatHeader } from "./ChatHeader";
import { Conversation } from "./Conversation";
import { Dock } from "./Dock";
import { AskingForModels, EmptyChat, GoneChat } from "./EmptyChat";
import { Inside } from "./Inside";
import { hasJapanese } from "./japanese";
import { PlaceContext, type Place } from "./place";
import { SmallModelNotice } from "./SmallModelNotice";
import { useActions } from "./useActions";
import { useAsking } from "./useAsking";
import { useChatKeys } from "./useChatKeys";
import { useCompare } from "./useCompare";
import { useDraft, useDraftFiles } from "./useDraft";
import { Windowing } from "./windowing";

/** The chat: one conversation, or the beginning of one. Its address decides which. */
export function ChatPage() {
  const { conversation: id } = useParams();
  return <Chat key={id ?? "new"} id={id ?? null} />;
}

function Chat({ id }: { id: Id | null }) {
  const text = useText();
  const { acts } = useTalk();
  const shown = useConversation(id);
  const newest = useMessage(id ?? "", newestReply(shown));
  const { change } = use(SettingsContext);
  const asking = useAsking(shown?.summary?.model ?? newest?.model ?? null);
  const { how, model, models, query } = asking;
  const [compare, setCompare] = useCompare();
  const together = useTogether(how, compare.others, models);
  const [draft, setDraft] = useDraft(id);
  const [files, setFiles] = useDraftFiles(id);
  const field = useRef<HTMLTextAreaElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const [windowing] = useState(() => new Windowing());
  useLayoutEffect(
    () => (scroller.current && id !== null ? windowing.attach(scroller.current) : undefined),
    [windowing, id],
  );

  const live = (shown?.live.length ?? 0) > 0;
  const stop = id !== null && live ? () => void acts.stop(id, null) : null;
  useChatKeys(field, stop);

  const { toEnd } = windowing;
  const blind = compare.blind;
  const what = { id, how: together, blind, draft, setDraft, files, setFiles, field, toEnd };
  const { send, ask, takeBack, toField } = useActions(what);
  const { place, inside, close } = usePlaceOf(
    id,
    how,
    models?.map((one) => one.id),
    toField,
  );
  const writesJapanese = useWritesJapanese(newest, draft);

  const notice =
    model !== null && models ? (
      <SmallModelNotice
        model={model}
        models={models}
        writesJapanese={writesJapanese}
        compact={id !== null}
        onDone={toField}
      />
    ) : null;

  return (
    <PlaceContext value={place}>
      <div className={inside === null ? "chat" : "chat with-panel"}>
        <title>{`${shown?.summary?.title || text.chat.title} · ${text.product}`}</title>
        <ChatHeader
          models={models}
          fresh={!query.isError}
          model={model}
          onModel={(name) => {
            change({ model: name });
            if (id !== null) void acts.model(id, name);
          }}
          compare={compare}
          onCompare={setCompare}
          hasConversation={id !== null}
        />
        {/* Focusable for the keyboard: what scrolls must be scrolled without a mouse too. */}
        <div className="scroller" ref={scroller} tabIndex={id === null ? undefined : 0}>
          <div className="content">
            {/* Not before it is known what stands in it: the page must not jump. */}
            {id === null && query.isPending ? <AskingForModels /> : null}
            {id === null && !query.isPending ? (
              <EmptyChat
                onAsk={how ? ask : null}
                small={model === null || isSmallDefault(model)}
                notice={notice}
              />
            ) : null}
            {shown?.state === "gone" ? (
              <GoneChat onRestore={shown.version >= 0 ? () => void acts.restore(shown.id) : null} />
            ) : null}
            {shown && shown.state !== "gone" ? (
              <Conversation shown={shown} windowing={windowing} onTakeBack={takeBack} />
            ) : null}
          </div>
        </div>
        <Dock
          shown={shown ?? null}
          windowing={windowing}
          query={query}
          newest={newest ?? null}
          notice={id === null ? null : notice}
          composer={{ draft, setDraft, files, setFiles, field }}
          onSend={together ? send : null}
          onStop={stop}
          onKey={toField}
        />
        {inside !== null && id !== null ? (
          <Inside
            conversation={id}
            message={inside}
            onClose={close}
            onContinue={(beginning) => {
              close();
              if (how) void acts.again(id, inside, { ...how, models: [] }, beginning);
            }}
          />
        ) : null}
      </div>
    </PlaceContext>
  );
}

/** The newest reply of the branch that is shown. */
function newestReply(shown: Shown | null | undefined): Id | null {
  if (!shown) return null;
  const head = shown.path.at(-1);
  return head !== undefined && shown.tree.get(head)?.role === "assistant" ? head : null;
}

/** The chosen model, and those that answer beside it. */
function useTogether(
  how: ReturnType<typeof useAsking>["how"],
  others: readonly string[],
  models: ReturnType<typeof useAsking>["models"],
) {
  return useMemo(() => {
    if (!how) return null;
    const known = others.filter((one) => models?.some(({ id }) => id === one));
    return { ...how, models: [...new Set([...how.models, ...known])] };
  }, [how, others, models]);
}

function usePlaceOf(
  id: Id | null,
  how: Place["how"],
  models: readonly string[] | undefined,
  toField: () => void,
) {
  const [editing, setEditing] = useState<Id | null>(null);
  const [inside, setInside] = useState<Id | null>(null);
  const latest = useRef(toField);
  useEffect(() => {
    latest.current = toField;
  });
  const names = (models ?? []).join("\n");
  const place: Place = useMemo(
    () => ({
      conversation: id ?? "",
      how,
      models: names === "" ? [] : names.split("\n"),
      editing,
      edit: setEditing,
      lookInside: setInside,
      toField: () => latest.current(),
    }),
    [id, how, names, editing],
  );
  const close = () => {
    setInside(null);
    toField();
  };
  return { place, inside, close };
}

function useWritesJapanese(newest: Message | undefined, draft: string): boolean {
  const { hash } = useLocation();
  const now = hasJapanese(draft) || (hash === "" && hasJapanese(newest?.text.slice(0, 2000) ?? ""));
  const [wrote, setWrote] = useState(false);
  // Once written, it stays: the notice must not come and go with each word.
  if (now && !wrote) setWrote(true);
  return now || wrote;
}
