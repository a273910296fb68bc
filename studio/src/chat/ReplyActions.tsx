import { useTalk } from "../conversation/context";
import type { Message } from "../conversation/types";
import { useText } from "../i18n";
import { CopyButton } from "../ui/CopyButton";
import {
  GoOnIcon,
  InsideIcon,
  MoreIcon,
  RetryIcon,
  ThumbDownIcon,
  ThumbUpIcon,
  TrashIcon,
} from "../ui/icons";
import { Menu } from "../ui/Menu";
import { usePlace } from "./place";

interface Props {
  reply: Message;
  /** Nothing may tell which model it is. */
  secret: boolean;
  onRated: (rating: -1 | 0 | 1) => void;
}

/** What can be done with a reply that has ended. */
export function ReplyActions({ reply, secret, onRated }: Props) {
  const text = useText();
  const { acts } = useTalk();
  const { conversation, how, lookInside, toField } = usePlace();
  const rate = (wanted: -1 | 1) => {
    const rating = reply.rating === wanted ? 0 : wanted;
    onRated(rating);
    void acts.rate(conversation, reply.id, rating, reply.remark);
  };
  const again = (beginning: string) => {
    if (!how) return;
    const model = beginning === "" ? how.models.slice(0, 1) : [reply.model ?? ""].filter(Boolean);
    void acts.again(conversation, reply.id, { ...how, models: model }, beginning);
    toField();
  };
  return (
    <>
      {reply.text === "" ? null : (
        <CopyButton key={reply.id} text={reply.text} label={text.chat.copyReply} />
      )}
      {how && !secret && reply.state !== "failed" ? (
        <button
          type="button"
          className="button quiet"
          title={text.chat.again}
          onClick={() => again("")}
        >
          <RetryIcon size={16} />
          <span>{reply.state === "done" ? text.chat.again : text.chat.retry}</span>
        </button>
      ) : null}
      {how && !secret && canGoOn(reply) ? (
        <button type="button" className="button quiet" onClick={() => again(reply.text)}>
          <GoOnIcon size={16} />
          <span>{text.chat.goOn}</span>
        </button>
      ) : null}
      <button
        type="button"
        className="button quiet square thumb"
        aria-label={text.chat.good}
        title={text.chat.good}
        aria-pressed={reply.rating > 0}
        onClick={() => rate(1)}
      >
        <ThumbUpIcon size={16} />
      </button>
      <button
        type="button"
        className="button quiet square thumb"
        aria-label={text.chat.bad}
        title={text.chat.bad}
        aria-pressed={reply.rating < 0}
        onClick={() => rate(-1)}
      >
        <ThumbDownIcon size={16} />
      </button>
      {secret ? null : (
        <Menu label={text.chat.more} icon={<MoreIcon size={16} />}>
          <OtherModels reply={reply} />
          <button type="button" className="button quiet" onClick={() => lookInside(reply.id)}>
            <InsideIcon size={16} />
            {text.chat.inside}
          </button>
          <button
            type="button"
            className="button quiet"
            onClick={() => {
              void acts.remove(conversation, reply.id);
              toField();
            }}
          >
            <TrashIcon size={16} />
            {text.chat.remove}
          </button>
        </Menu>
      )}
    </>
  );
}

/** The same question to another model. */
function OtherModels({ reply }: { reply: Message }) {
  const text = useText();
  const { acts } = useTalk();
  const { conversation, how, models, toField } = usePlace();
  if (!how) return null;
  return models
    .filter((name) => name !== reply.model)
    .slice(0, 8)
    .map((name) => (
      <button
        key={name}
        type="button"
        className="button quiet"
        onClick={() => {
          void acts.again(conversation, reply.id, { ...how, models: [name] });
          toField();
        }}
      >
        <RetryIcon size={16} />
        {text.chat.againWith(name)}
      </button>
    ));
}

function canGoOn(reply: Message): boolean {
  // Agents and techniques begin anew: words alone are not where they were.
  if (reply.text === "" || reply.steps.length > 0 || reply.consents.length > 0) return false;
  if (reply.state === "done") return reply.finish === "length";
  return true;
}
