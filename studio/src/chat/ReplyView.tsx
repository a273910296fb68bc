import { memo, useState } from "react";

import { failure, kindOf } from "../api/errors";
import { useTalk } from "../conversation/context";
import { isLive, type Message } from "../conversation/types";
import { useText } from "../i18n";
import { Markdown } from "../prose/Markdown";
import { ConsentCards } from "../steps/ConsentCard";
import { StepsView } from "../steps/StepsView";
import { waitingOf } from "../steps/arrange";
import { Failed } from "../ui/Failed";
import { InfoIcon } from "../ui/icons";
import { Branches } from "./Branches";
import { ending } from "./ending";
import { Measured } from "./Measured";
import { usePlace } from "./place";
import { Rating } from "./Rating";
import { ReplyActions } from "./ReplyActions";
import { TroubleAt } from "./Trouble";
import { Waiting, WritingNow } from "./Waiting";
import { PlainText } from "../prose/PlainText";

interface Props {
  reply: Message;
  last: boolean;
  branches: { at: number; of: number; onStep: (to: number) => void } | null;
  /** Shown in place of the model's name, while that is a secret. */
  alias?: string | undefined;
}

export const ReplyView = memo(function ReplyView({ reply, last, branches, alias }: Props) {
  const text = useText();
  const [remarks, setRemarks] = useState<string | null>(null); // of which reply: branches step
  const live = isLive(reply);
  const name = alias ?? reply.model ?? "";
  return (
    <article
      className="reply"
      id={`message-${reply.id}`}
      aria-label={text.chat.modelOf(name)}
      aria-busy={live}
    >
      <header>
        <h2 className="who" {...(alias === undefined ? { translate: "no" } : {})}>
          {name}
        </h2>
        {/* Up here: below the words, it would be pushed down by each line. */}
        {live && waitingOf(reply).length === 0 ? <WritingNow reply={reply} /> : null}
      </header>
      {reply.reasoning === "" ? null : (
        <details className="reasoning">
          <summary>{text.chat.reasoning}</summary>
          <p dir="auto">
            <PlainText text={reply.reasoning} />
          </p>
        </details>
      )}
      <StepsView reply={reply} secret={alias !== undefined} />
      {reply.state === "waiting" && waitingOf(reply).length === 0 ? (
        <Waiting reply={reply} />
      ) : null}
      {reply.text === "" ? null : <Markdown text={reply.text} />}
      <ConsentCards reply={reply} name={name} />
      <Ending reply={reply} last={last} />
      <TroubleAt message={reply.id} />
      {live ? null : (
        <footer>
          {branches ? <Branches {...branches} kind="reply" /> : null}
          <ReplyActions
            reply={reply}
            secret={alias !== undefined}
            onRated={(rating) => setRemarks(rating === 0 ? null : reply.id)}
          />
          {alias === undefined ? <Measured reply={reply} /> : null}
        </footer>
      )}
      {live ? null : (
        <Rating
          reply={reply}
          open={remarks === reply.id}
          onOpen={(open) => setRemarks(open ? reply.id : null)}
        />
      )}
    </article>
  );
});

/** How the reply ended, unless it simply came to its end. */
function Ending({ reply, last }: { reply: Message; last: boolean }) {
  const text = useText();
  const { acts } = useTalk();
  const { conversation, how, edit } = usePlace();
  if (reply.state === "failed") {
    const { code = "", message = "" } = reply.failure ?? {};
    const retry = () => {
      if (how) void acts.again(conversation, reply.id, { ...how, models: ownModel(reply, how) });
    };
    return (
      // Above the newest, trying again would take what was said since out of sight.
      <Failed failure={failure(kindOf(0, code), message)} onRetry={last && how ? retry : null}>
        {last && reply.text === "" && reply.parent !== null ? (
          <button type="button" className="button" onClick={() => edit(reply.parent)}>
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

/** Another reply comes from the model that is chosen above; a failed one is tried with it too. */
function ownModel(reply: Message, how: { models: readonly string[] }): readonly string[] {
  return how.models.length === 1 ? how.models : reply.model === null ? [] : [reply.model];
}
