import { memo, type ReactNode } from "react";

import { isLive, tokensPerSecond } from "../conversation/reply";
import type { Question, Reply } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { count, decimal } from "../i18n/format";
import { CopyButton } from "../ui/CopyButton";
import { Failed } from "../ui/Failed";
import { EditIcon, InfoIcon, LeftIcon, RetryIcon, RightIcon } from "../ui/icons";
import { ending } from "./ending";
import { Markdown } from "../prose/Markdown";
import { Waiting } from "./Waiting";

export const QuestionView = memo(function QuestionView({ question }: { question: Question }) {
  const text = useText();
  return (
    <article className="question" id={`message-${question.id}`} aria-label={text.chat.you}>
      <p dir="auto">{question.text}</p>
    </article>
  );
});

export interface ReplyActions {
  /** Asks again (with a key just entered); null where that cannot be done now. */
  onRetry: ((reply: Reply, key?: string) => void) | null;
  /** Takes the question back into the composer. */
  onTakeBack: (reply: Reply) => void;
  /** Shows another reply to the same question. */
  onShow: (id: string) => void;
}

interface Props extends ReplyActions {
  reply: Reply;
  /** Replies to the same question, oldest first, by id. */
  siblings: readonly string[];
  last: boolean;
}

export const ReplyView = memo(function ReplyView({ reply, siblings, last, ...actions }: Props) {
  const text = useText();
  const live = isLive(reply);
  return (
    <article
      className="reply"
      id={`message-${reply.id}`}
      aria-label={text.chat.modelOf(reply.model)}
      aria-busy={live}
    >
      <h2 className="who" translate="no">
        {reply.model}
      </h2>
      {reply.reasoning === "" ? null : (
        <details className="reasoning">
          <summary>{text.chat.reasoning}</summary>
          <p dir="auto">{reply.reasoning}</p>
        </details>
      )}
      {reply.state === "waiting" ? <Waiting reply={reply} /> : null}
      {reply.text === "" ? null : <Markdown text={reply.text} />}
      <Ending reply={reply} {...actions} last={last} />
      {live ? null : <Foot reply={reply} siblings={siblings} {...actions} />}
    </article>
  );
});

/** How the reply ended, unless it simply came to its end. */
function Ending({ reply, onRetry, onTakeBack, last }: Omit<Props, "siblings">) {
  const text = useText();
  if (reply.state === "failed" && reply.failure) {
    return (
      <Failed failure={reply.failure} onRetry={onRetry && ((key) => onRetry(reply, key))}>
        {last && reply.text === "" ? (
          <button type="button" className="button" onClick={() => onTakeBack(reply)}>
            <EditIcon size={16} />
            {text.chat.edit}
          </button>
        ) : null}
      </Failed>
    );
  }
  const said = ending(text, reply);
  if (said === null) return null;
  return (
    <p className="ending">
      <InfoIcon size={16} />
      {said}
    </p>
  );
}

function Foot({ reply, siblings, onRetry, onShow }: Omit<Props, "onTakeBack" | "last">) {
  const text = useText();
  return (
    <footer>
      <Branches reply={reply} siblings={siblings} onShow={onShow} />
      {reply.text === "" ? null : (
        <CopyButton key={reply.id} text={reply.text} label={text.chat.copyReply} />
      )}
      {onRetry && reply.state !== "failed" ? (
        <button
          type="button"
          className="button quiet"
          title={text.chat.again}
          onClick={() => onRetry(reply)}
        >
          <RetryIcon size={16} />
          <span>{reply.state === "done" ? text.chat.again : text.chat.retry}</span>
        </button>
      ) : null}
      <Measured reply={reply} />
    </footer>
  );
}

function Branches({ reply, siblings, onShow }: Pick<Props, "reply" | "siblings" | "onShow">) {
  const text = useText();
  const language = useLanguage();
  if (siblings.length < 2) return null;
  const at = siblings.indexOf(reply.id);
  const step = (by: number, name: string, icon: ReactNode) => {
    const to = siblings[at + by];
    return (
      <button
        type="button"
        className="button quiet square"
        aria-label={name}
        title={name}
        aria-disabled={to === undefined} // not `disabled`: at the end the focus must stay
        onClick={() => to !== undefined && onShow(to)}
      >
        {icon}
      </button>
    );
  };
  const now = count(language, at + 1);
  const all = count(language, siblings.length);
  return (
    <span className="branches">
      {step(-1, text.chat.earlier, <LeftIcon size={16} />)}
      <span className="unseen">{text.chat.branch(now, all)}</span>
      <span aria-hidden="true">{`${now} / ${all}`}</span>
      {step(1, text.chat.later, <RightIcon size={16} />)}
    </span>
  );
}

/** Token counts as the server counted them, times as this page measured them. */
function Measured({ reply }: { reply: Reply }) {
  const text = useText();
  const language = useLanguage();
  const parts: string[] = [];
  const speed = tokensPerSecond(reply);
  if (reply.usage) parts.push(text.measured.tokens(count(language, reply.usage.completion)));
  if (speed !== null)
    parts.push(text.measured.speed(decimal(language, speed, speed < 100 ? 1 : 0)));
  if (reply.firstAfter !== null)
    parts.push(text.measured.first(decimal(language, reply.firstAfter / 1000)));
  if (reply.usage) {
    const cached = text.measured.cached(count(language, reply.usage.cached));
    const prompt = text.measured.prompt(count(language, reply.usage.prompt));
    parts.push(reply.usage.cached > 0 ? `${prompt} (${cached})` : prompt);
  }
  if (parts.length === 0) return null;
  return (
    <span className="measured" title={text.measured.label}>
      {parts.join(" · ")}
    </span>
  );
}
