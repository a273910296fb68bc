import { useEffect, useId, useRef } from "react";

import { useText } from "../i18n";
import { KeepOrDelete } from "../ui/KeepOrDelete";

interface Props {
  title: string;
  onClose: () => void;
  onRemove: () => void;
}

/** Asks by its name before a conversation goes for good. */
export function RemoveForever({ title, onClose, onRemove }: Props) {
  const text = useText();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className="ask" aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{text.sidebar.ask(title)}</h2>
      <p>{text.sidebar.final}</p>
      <KeepOrDelete
        keep={text.sidebar.keep}
        remove={text.sidebar.foreverOf(title)}
        pending={false}
        onKeep={() => dialog.current?.close()}
        onRemove={() => {
          dialog.current?.close();
          onRemove();
        }}
      />
    </dialog>
  );
}
