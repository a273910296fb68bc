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
        key={reply.id}
        name={`remark.${reply.id}`}
        text={reply.remark}
        label={reply.rating > 0 ? text.chat.remarkGood : text.chat.remarkBad}
        save={text.chat.remarkSave}
        hint={reply.rating > 0 ? text.chat.remarkGood : text.chat.remarkBad}
        allowEmpty
        onClose={close}
        onSave={(remark) => acts.rate(conversation, reply.id, reply.rating > 0 ? 1 : -1, remark)}
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
