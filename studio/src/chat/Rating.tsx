import { useTalk } from "../conversation/context";
import type { Message } from "../conversation/types";
import { useText } from "../i18n";
import { EditIcon } from "../ui/icons";
import { Editing } from "./Editing";
import { usePlace } from "./place";

interface Props {
  reply: Message;
  /** Whether a remark is being written. */
  open: boolean;
  onOpen: (open: boolean) => void;
}

/** The remark on a rated reply. */
export function Rating({ reply, open, onOpen }: Props) {
  const text = useText();
  const { acts } = useTalk();
  const { conversation, toField } = usePlace();
  if (reply.rating === 0) return null;
  const close = () => {
    onOpen(false);
    toField();
  };
  if (open)
    return (
      <Editing
        text={reply.remark}
        label={reply.rating > 0 ? text.chat.remarkGood : text.chat.remarkBad}
        save={text.chat.remarkSave}
        hint={reply.rating > 0 ? text.chat.remarkGood : text.chat.remarkBad}
        allowEmpty
        onCancel={close}
        onSave={(remark) => {
          const rating = reply.rating > 0 ? 1 : -1;
          void acts.rate(conversation, reply.id, rating, remark);
          close();
        }}
      />
    );
  if (reply.remark === "") return null;
  return (
    <p className="remark small soft">
      <span>{text.chat.remarkIs(reply.remark)}</span>
      <button
        type="button"
        className="button quiet square"
        aria-label={text.chat.remarkEdit}
        title={text.chat.remarkEdit}
        onClick={() => onOpen(true)}
      >
        <EditIcon size={16} />
      </button>
    </p>
  );
}
