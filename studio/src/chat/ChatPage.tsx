import { use, useMemo, useRef, useState } from "react";
import { useParams } from "react-router";

import { isSmallDefault, pickModel } from "../api/models";
import { useModels } from "../api/useModels";
import type { Asking } from "../conversation/chats";
import { useConversation, useTalk } from "../conversation/context";
import { liveReply, path } from "../conversation/tree";
import type { Conversation } from "../conversation/types";
import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { Announcer } from "./Announcer";
import { ChatHeader } from "./ChatHeader";
import { Composer } from "./Composer";
import { AskingForModels, EmptyChat, GoneChat } from "./EmptyChat";
import { hasJapanese } from "./japanese";
import { MessageList } from "./MessageList";
import { ServerNews } from "./ServerNews";
import { SmallModelNotice } from "./SmallModelNotice";
import { useActions } from "./useActions";
import { useChatKeys } from "./useChatKeys";
import { useDraft } from "./useDraft";
import { useStickToBottom } from "./useStickToBottom";

/** The chat: one conversation, or the beginning of one. Its address decides which. */
export function ChatPage() {
  const { conversation: id } = useParams();
  return <Chat key={id ?? "new"} id={id ?? null} />;
}

function Chat({ id }: { id: string | null }) {
  const text = useText();
  const { chats } = useTalk();
  const conversation = useConversation(id);
  const head = conversation?.head ? conversation.messages[conversation.head] : null;
  const newest = head?.role === "assistant" ? head : null;
  const { how, models, query } = useAsking(newest?.model ?? null);
  const [draft, setDraft] = useDraft(id);
  const field = useRef<HTMLTextAreaElement>(null);
  const { scroller, content, atEnd, toEnd } = useStickToBottom(id !== null);

  const live = conversation ? liveReply(conversation) : null;
  const stop = id !== null && live ? () => chats.stop(id) : null;
  useChatKeys(field, stop);

  const place = { id, how, draft, setDraft, field, toEnd };
  const { send, retry, takeBack, toField } = useActions(place);
  const writesJapanese = useWritesJapanese(conversation, draft);

  const notice =
    how && models ? (
      <SmallModelNotice
        model={how.model}
        models={models}
        writesJapanese={writesJapanese}
        compact={id !== null}
        onDone={toField}
      />
    ) : null;

  return (
    <div className="chat">
      <title>{`${text.chat.title} · ${text.product}`}</title>
      <ChatHeader
        models={models}
        fresh={!query.isError}
        model={how?.model ?? null}
        hasConversation={id !== null}
      />
      <div className="scroller" ref={scroller}>
        <div className="content" ref={content}>
          {/* Not before it is known what stands in it: the page must not jump. */}
          {id === null && query.isPending ? <AskingForModels /> : null}
          {id === null && !query.isPending ? (
            <EmptyChat
              onAsk={how ? (what) => send(what, draft) : null}
              small={!how || isSmallDefault(how.model)}
              notice={notice}
            />
          ) : null}
          {id !== null && conversation === null ? <GoneChat /> : null}
          {conversation ? (
            <MessageList
              conversation={conversation}
              onRetry={live || !how ? null : retry}
              onTakeBack={takeBack}
              onShow={(message) => chats.show(conversation.id, message)}
            />
          ) : null}
        </div>
      </div>
      <div className="dock">
        <Announcer reply={newest} />
        {atEnd ? null : (
          <button type="button" className="button toEnd" onClick={toEnd}>
            {text.chat.toBottom}
          </button>
        )}
        <ServerNews query={query} newest={newest} onKey={toField} />
        {id === null ? null : notice}
        <Composer
          draft={draft}
          onDraft={setDraft}
          onSend={how && !live ? () => send(draft, "") : null}
          onStop={stop}
          field={field}
        />
      </div>
    </div>
  );
}

/**
 * With what the next reply is asked for; null until the server has named its models. What loads
 * and unloads by itself changes the model of no conversation that has begun.
 */
function useAsking(begunWith: string | null) {
  const { settings } = use(SettingsContext);
  const query = useModels();
  const models = query.data;
  const model = models ? pickModel(models, [settings.model, begunWith]) : null;
  const { key, sampling } = settings;
  const how: Asking | null = useMemo(
    () => (model === null ? null : { model, sampling, connection: { key } }),
    [model, sampling, key],
  );
  return { how, models, query };
}

function useWritesJapanese(conversation: Conversation | null | undefined, draft: string): boolean {
  const asked = useMemo(
    () =>
      conversation
        ? path(conversation).some((one) => one.role === "user" && hasJapanese(one.text))
        : false,
    [conversation],
  );
  const typing = hasJapanese(draft);
  const [wrote, setWrote] = useState(false);
  // Once written, it stays: the notice must not come and go with each word.
  if (typing && !wrote) setWrote(true);
  return asked || typing || wrote;
}
