import { useTalk } from "../conversation/context";
import { standsInQueue } from "../conversation/shown";
import type { Sending, Shown } from "../conversation/types";
import { useText } from "../i18n";
import { EditIcon, TrashIcon } from "../ui/icons";
import { Failed } from "../ui/Failed";
import { Files } from "./Files";
import { LongText } from "./QuestionView";

interface Props {
  shown: Shown;
  /** Puts words back into the composer. */
  onTakeBack: (sending: Sending) => void;
}

/** What was said and is not confirmed: on its way, or not gone out, with the reason. */
export function Unsent({ shown, onTakeBack }: Props) {
  const listed = shown.sending.filter((one) => one.failure !== null || !standsInQueue(one));
  const first = shown.sending.find((one) => one.failure !== null);
  return listed.map((one) => (
    <UnsentView
      key={one.body.id}
      conversation={shown.id}
      sending={one}
      first={one === first}
      onTakeBack={onTakeBack}
    />
  ));
}

interface ViewProps extends Pick<Props, "onTakeBack"> {
  conversation: string;
  sending: Sending;
  /** Others wait behind the first that failed, and go out after it. */
  first: boolean;
}

function UnsentView({ conversation, sending, first, onTakeBack }: ViewProps) {
  const text = useText();
  const { acts } = useTalk();
  const { body, attachments, failure } = sending;
  const retry = (key?: string) => {
    // A key that was entered this moment is in use after the next drawing.
    setTimeout(() => acts.resend(conversation), key === undefined ? 0 : 50);
  };
  const discard = (keep: boolean) => {
    const found = acts.discard(conversation, body.id);
    if (found && keep) onTakeBack(found);
  };
  return (
    <div className="line">
      <article className="question unsent" id={`message-${body.id}`} aria-label={text.chat.you}>
        <div className="bubble">
          <LongText words={body.text} />
          <Files files={attachments} />
        </div>
        {failure === null || !first ? (
          <p className="small soft way" role="status">
            {text.chat.sending}
          </p>
        ) : (
          <Failed failure={failure} onRetry={retry}>
            <button type="button" className="button" onClick={() => discard(true)}>
              <EditIcon size={16} />
              {text.chat.edit}
            </button>
            <button type="button" className="button" onClick={() => discard(false)}>
              <TrashIcon size={16} />
              {text.chat.discard}
            </button>
          </Failed>
        )}
      </article>
    </div>
  );
}
