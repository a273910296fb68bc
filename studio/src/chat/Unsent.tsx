import { useTalk } from "../conversation/context";
import { standsInQueue } from "../conversation/shown";
import type { Sending, Shown } from "../conversation/types";
import { useText } from "../i18n";
import { EditIcon, TrashIcon } from "../ui/icons";
import { Failed } from "../ui/Failed";
import { Files } from "./Files";
import { usePlace } from "./place";
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
      waits={first >= 0 && one !== shown.sending[first]}
    />
  ));
}

interface ViewProps {
  conversation: string;
  sending: Sending;
  /** It goes out after one above that has not gone out. */
  waits: boolean;
}

function UnsentView({ conversation, sending, waits }: ViewProps) {
  const text = useText();
  const { acts } = useTalk();
  const { takeBack, toField } = usePlace();
  const { body, attachments, failure } = sending;
  const retry = (key?: string) => {
    // A key that was entered this moment is in use after the next drawing.
    setTimeout(() => acts.resend(conversation), key === undefined ? 0 : 50);
  };
  const discard = (keep: boolean) => {
    const found = acts.discard(conversation, body.id);
    if (found && keep) takeBack(found.body.text, found.attachments);
    else toField();
  };
  const buttons = (
    <>
      <button type="button" className="button" onClick={() => discard(true)}>
        <EditIcon size={16} />
        {text.chat.edit}
      </button>
      <button type="button" className="button" onClick={() => discard(false)}>
        <TrashIcon size={16} />
        {text.chat.discard}
      </button>
    </>
  );
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
            {buttons}
          </div>
        ) : failure === null ? (
          <p className="small soft way" role="status">
            {text.chat.sending}
          </p>
        ) : (
          <Failed failure={failure} onRetry={retry}>
            {buttons}
          </Failed>
        )}
      </article>
    </div>
  );
}
