import { useTalk } from "../conversation/context";
import { standsInQueue } from "../conversation/shown";
import type { Sending, Shown } from "../conversation/types";
import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { Files } from "./Files";
import { OnItsWay, TakeBack } from "./OnItsWay";
import { LongText } from "./QuestionView";

interface Props {
  shown: Shown;
}

/** What was said and is not confirmed: on its way, or not gone out, with the reason. */
export function Unsent({ shown }: Props) {
  const first = shown.sending.findIndex((one) => one.failure !== null);
  const stays = (at: number) => first >= 0 && at >= first;
  const listed = shown.sending.filter((one, at) => stays(at) || !standsInQueue(one));
  return listed.map((one) => (
    <UnsentView
      key={one.body.id}
      conversation={shown.id}
      sending={one}
      head={shown.sending[0]?.body.id}
      waits={first >= 0 && one !== shown.sending[first]}
    />
  ));
}

interface ViewProps {
  conversation: string;
  sending: Sending;
  head: string | undefined;
  /** It goes out after one above that has not gone out. */
  waits: boolean;
}

function UnsentView({ conversation, sending, head, waits }: ViewProps) {
  const text = useText();
  const { acts } = useTalk();
  const { body, attachments, failure } = sending;
  const retry = (key?: string) => {
    // A key that was entered this moment is in use after the next drawing.
    setTimeout(() => acts.resend(conversation), key === undefined ? 0 : 50);
  };
  return (
    <div className="line">
      <article className="question unsent" id={`message-${body.id}`} aria-label={text.chat.you}>
        <div className="bubble">
          <LongText words={body.text} />
          <Files files={attachments} />
        </div>
        {waits ? (
          <div className="row way">
            <p className="small soft" role="status">
              {text.chat.behind}
            </p>
            <TakeBack sending={sending} />
          </div>
        ) : failure === null ? (
          <div className="row way">
            <OnItsWay sending={sending} head={head} />
          </div>
        ) : (
          <Failed failure={failure} onRetry={retry}>
            <TakeBack sending={sending} />
          </Failed>
        )}
      </article>
    </div>
  );
}
