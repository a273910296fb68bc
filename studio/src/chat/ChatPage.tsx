import {
  use,
  useCallback,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  type ReactNode,
  type RefObject,
} from "react";
import { useLocation, useParams } from "react-router";

import { isSmallDefault } from "../api/models";
import { useAssistantOf, useGoesTo } from "../assistants/useAssistants";
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
import { PlaceContext, usePlace, type Place } from "./place";
import { SmallModelNotice } from "./SmallModelNotice";
import { Unsent } from "./Unsent";
import { useActions } from "./useActions";
import { useAsking } from "./useAsking";
import { useChatKeys } from "./useChatKeys";
import { answering, useCompare } from "./useCompare";
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
  const assistant = useAssistantOf(id === null ? model : null, models);
  const [compare, setCompare] = useCompare();
  const together = useTogether(how, compare.others, models);
  const goesTo = useGoesTo(id === null ? (together?.models ?? []) : [], models);
  const [draft, setDraft] = useDraft(id);
  const [files, setFiles] = useDraftFiles(id);
  const field = useRef<HTMLTextAreaElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const windowing = useWindowing(scroller, id !== null);
  const live = (shown?.live.length ?? 0) > 0;
  const stop = id !== null && live ? () => void acts.stop(id, null) : null;
  useChatKeys(field, stop);

  const { toEnd } = windowing;
  const blind = compare.blind;
  // At an address without conversation, what is said begins one.
  const to = shown?.state === "gone" ? null : id;
  const what = { id: to, how: together, blind, draft, setDraft, files, setFiles, field, toEnd };
  const { send, ask, takeBack, toField } = useActions(what);
  const names = models?.map((one) => one.id);
  const { place, inside, close } = usePlaceOf(id, how, names, { toField, takeBack });
  const choose = (name: string) => {
    change({ model: name });
    if (id !== null) void acts.model(id, name);
  };
  const spoken = { writesJapanese: useWritesJapanese(newest, draft), compact: id !== null };
  const notice =
    model === null || !models ? null : (
      <SmallModelNotice model={model} models={models} {...spoken} onUse={choose} onDone={toField} />
    );

  return (
    <PlaceContext value={place}>
      <div className={inside === null ? "chat" : "chat with-panel"}>
        <title>{`${shown?.summary?.title || text.chat.title} · ${text.product}`}</title>
        <ChatHeader
          models={models}
          fresh={!query.isError}
          model={model}
          onModel={choose}
          compare={compare}
          onCompare={setCompare}
          hasConversation={id !== null}
        />
        {/* Focusable for the keyboard: what scrolls must be scrolled without a mouse too. */}
        <div className="scroller" ref={scroller} tabIndex={id === null ? undefined : 0}>
          <div className="content">
            <Content
              id={id}
              shown={shown ?? null}
              windowing={windowing}
              empty={
                // Not before it is known what stands in it: the page must not jump.
                query.isPending ? (
                  <AskingForModels />
                ) : (
                  <EmptyChat
                    onAsk={how ? ask : null}
                    small={isSmall(model)}
                    assistant={assistant}
                    goesTo={goesTo}
                    notice={notice}
                  />
                )
              }
            />
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
        {inside === null ? null : <InsideOf reply={inside} onClose={close} />}
      </div>
    </PlaceContext>
  );
}

/** Whether the small default answers, or nobody is known to. */
function isSmall(model: string | null): boolean {
  return model === null || isSmallDefault(model);
}

function useWindowing(scroller: RefObject<HTMLDivElement | null>, wanted: boolean): Windowing {
  const [windowing] = useState(() => new Windowing());
  useLayoutEffect(
    () => (scroller.current && wanted ? windowing.attach(scroller.current) : undefined),
    [windowing, scroller, wanted],
  );
  return windowing;
}

/** A reply from inside; another reply can go on from one of its words. */
function InsideOf({ reply, onClose }: { reply: Id; onClose: () => void }) {
  const { conversation, how } = usePlace();
  const { acts } = useTalk();
  const goOn = (beginning: string) => {
    onClose();
    if (how) void acts.again(conversation, reply, { ...how, models: [] }, beginning);
  };
  return <Inside conversation={conversation} message={reply} onClose={onClose} onContinue={goOn} />;
}

interface ContentProps {
  id: Id | null;
  shown: Shown | null;
  windowing: Windowing;
  /** What stands where nothing was said yet. */
  empty: ReactNode;
}

function Content({ id, shown, windowing, empty }: ContentProps) {
  const { acts } = useTalk();
  if (id === null) return empty;
  if (shown === null) return null;
  if (shown.state === "gone") {
    const known = shown.version >= 0;
    return (
      <>
        <GoneChat onRestore={known ? () => void acts.restore(shown.id) : null} />
        <Unsent shown={shown} />
      </>
    );
  }
  return <Conversation shown={shown} windowing={windowing} />;
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
    const beside = answering(others, how.models[0] ?? null, models);
    return { ...how, models: [...how.models, ...beside] };
  }, [how, others, models]);
}

function usePlaceOf(
  id: Id | null,
  how: Place["how"],
  models: readonly string[] | undefined,
  composer: Pick<Place, "toField" | "takeBack">,
) {
  const [editing, edit] = useEdited(id);
  const [inside, setInside] = useState<Id | null>(null);
  const latest = useRef(composer);
  useLayoutEffect(() => {
    latest.current = composer;
  });
  const names = (models ?? []).join("\n");
  const place: Place = useMemo(
    () => ({
      conversation: id ?? "",
      how,
      models: names === "" ? [] : names.split("\n"),
      editing,
      edit,
      lookInside: setInside,
      takeBack: (words, files) => latest.current.takeBack(words, files),
      toField: () => latest.current.toField(),
    }),
    [id, how, names, editing, edit],
  );
  const close = () => {
    setInside(null);
    composer.toField();
  };
  return { place, inside, close };
}

/** The question that is being changed; a reload finds it still open. */
function useEdited(id: Id | null): [Id | null, (question: Id | null) => void] {
  const { drafts } = useTalk();
  const name = `in.${id ?? ""}`;
  const [editing, setEditing] = useState(() => drafts.edit(name));
  const edit = useCallback(
    (question: Id | null) => {
      drafts.writeEdit(name, question);
      setEditing(question);
    },
    [drafts, name],
  );
  return [editing, edit];
}

function useWritesJapanese(newest: Message | undefined, draft: string): boolean {
  const { hash } = useLocation();
  const now = hasJapanese(draft) || (hash === "" && hasJapanese(newest?.text.slice(0, 2000) ?? ""));
  const [wrote, setWrote] = useState(false);
  // Once written, it stays: the notice must not come and go with each word.
  if (now && !wrote) setWrote(true);
  return now || wrote;
}
