import { useEffect, useMemo, useRef } from "react";

import { path, siblings } from "../conversation/tree";
import type { Conversation, Reply } from "../conversation/types";
import { useText } from "../i18n";
import { useKept } from "../conversation/context";
import { QuestionView, ReplyView, type ReplyActions } from "./MessageView";

interface Props extends ReplyActions {
  conversation: Conversation;
}

export function MessageList({ conversation, onRetry, onTakeBack, onShow }: Props) {
  const text = useText();
  const kept = useKept();
  const messages = path(conversation);
  return (
    <section className="messages" aria-label={text.chat.log}>
      <p className="kept">{kept ? text.chat.kept : text.chat.notKept}</p>
      {messages.map((message, index) =>
        message.role === "user" ? (
          <QuestionView key={message.id} question={message} />
        ) : (
          // One row for all replies to a question: the buttons between them keep the focus.
          <ReplyRow
            key={`reply-${message.parent}`}
            conversation={conversation}
            reply={message}
            last={index === messages.length - 1}
            onRetry={onRetry}
            onTakeBack={onTakeBack}
            onShow={onShow}
          />
        ),
      )}
    </section>
  );
}

interface RowProps extends ReplyActions {
  conversation: Conversation;
  reply: Reply;
  last: boolean;
}

/** Gives a reply only what it shows, unchanged while that is, so that finished ones rest. */
function ReplyRow({ conversation, reply, last, onRetry, onTakeBack, onShow }: RowProps) {
  const ids = siblings(conversation, reply)
    .map((one) => one.id)
    .join(" ");
  const stable = useMemo(() => ids.split(" "), [ids]);
  const actions = useRef({ onRetry, onTakeBack, onShow });
  useEffect(() => {
    actions.current = { onRetry, onTakeBack, onShow };
  });
  const steady = useMemo(
    () => ({
      retry: (reply: Reply, key?: string) => actions.current.onRetry?.(reply, key),
      takeBack: (reply: Reply) => actions.current.onTakeBack(reply),
      show: (id: string) => actions.current.onShow(id),
    }),
    [],
  );
  return (
    <ReplyView
      reply={reply}
      siblings={stable}
      last={last}
      // Above the newest, it would take what was said since out of sight.
      onRetry={onRetry && last ? steady.retry : null}
      onTakeBack={steady.takeBack}
      onShow={steady.show}
    />
  );
}
