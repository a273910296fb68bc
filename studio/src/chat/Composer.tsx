import { use, useEffect, useId, useRef, useState, type DragEvent, type RefObject } from "react";

import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { SendIcon, StopIcon } from "../ui/icons";
import { focusWithoutKeyboard } from "../ui/keys";
import type { Attached } from "../conversation/types";
import { AttachButton, Attachments } from "./Attachments";
import type { Upload } from "./useUploads";
import { Writing } from "./Writing";

export type When = "queue" | "now" | "steer";

interface Props {
  draft: string;
  onDraft: (text: string) => void;
  files: readonly Attached[];
  uploads: readonly Upload[];
  onFiles: (files: File[]) => void;
  onRemoveFile: (id: string) => void;
  onDropUpload: (key: number) => void;
  /** Sends the draft; null while nothing can be sent. */
  onSend: ((when: When) => void) | null;
  /** Stops what runs; null while nothing does. */
  onStop: (() => void) | null;
  /** Whether something said now has to wait. */
  waits: boolean;
  field: RefObject<HTMLTextAreaElement | null>;
}

export function Composer({ draft, onDraft, onSend, onStop, waits, field, ...more }: Props) {
  const text = useText();
  const { enterSends } = use(SettingsContext).settings;
  const hint = useId();
  const [over, setOver] = useState(false);
  useEffect(() => {
    focusWithoutKeyboard(field.current);
  }, [field]);

  const { can, send, waiting, takeBack } = useSending({ draft, onSend, ...more });
  const hasFiles = (event: DragEvent) => event.dataTransfer.types.includes("Files");
  const sends = enterSends ? text.chat.hintSend : text.chat.hintSwapped;
  const queues = enterSends ? text.queue.hint : text.queue.hintSwapped;
  return (
    <form
      className={over ? "composer over" : "composer"}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
      onDragOver={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        setOver(false);
        if (!hasFiles(event)) return;
        event.preventDefault();
        more.onFiles([...event.dataTransfer.files]);
      }}
    >
      <Attachments
        files={more.files}
        uploads={more.uploads}
        onRemove={more.onRemoveFile}
        onDrop={more.onDropUpload}
      />
      <div className="box">
        <AttachButton onFiles={more.onFiles} />
        <Writing
          value={draft}
          onValue={onDraft}
          onSubmit={send}
          onPaste={(event) => {
            const files = [...event.clipboardData.files];
            if (files.length === 0) return;
            event.preventDefault();
            more.onFiles(files);
          }}
          field={field}
          label={text.chat.composer}
          describedBy={hint}
          placeholder={text.chat.placeholder}
        />
        <Buttons can={can} waits={waits} onStop={onStop} field={field} />
      </div>
      <div className="under">
        {waiting === null ? (
          <p id={hint} className="hint">
            {onStop ? queues : sends}
          </p>
        ) : (
          <Held id={hint} by={waiting} field={field} onTakeBack={takeBack} />
        )}
        {onStop && can ? (
          <span className="row">
            <button type="button" className="button quiet" onClick={() => send("steer")}>
              {text.queue.steerWith}
            </button>
            <button type="button" className="button quiet" onClick={() => send("now")}>
              {text.queue.nowWith}
            </button>
          </span>
        ) : null}
      </div>
    </form>
  );
}

interface HeldProps extends Pick<Props, "field"> {
  /** Ties it to the field, which says by it why nothing was sent. */
  id: string;
  by: "files" | "server";
  onTakeBack: () => void;
}

/** Says what the words wait for, and lets them be taken back. */
function Held({ id, by, field, onTakeBack }: HeldProps) {
  const text = useText();
  return (
    <span className="row held" role="status">
      <span id={id}>{by === "files" ? text.chat.heldForFiles : text.chat.heldForServer}</span>
      <button
        type="button"
        className="button quiet"
        onClick={() => {
          onTakeBack();
          focusWithoutKeyboard(field.current); // this button goes; the focus must not
        }}
      >
        {text.chat.holdBack}
      </button>
    </span>
  );
}

type Sendable = Pick<Props, "draft" | "files" | "uploads" | "onSend">;

/**
 * Sends the draft, or as soon as it can: what is sent while its files are on their way, or before
 * the server has named its models, waits for them. Changed words or files end that.
 */
function useSending({ draft, files, uploads, onSend }: Sendable) {
  const [held, setHeld] = useState<{ when: When; draft: string; files: number } | null>(null);
  const gone = useRef<typeof held>(null); // what was held and is sent: once only
  const coming = uploads.filter((one) => one.failure === null).length;
  const all = files.length + coming; // an upload that ends well leaves this as it is
  const something = draft.trim() !== "" || all > 0;
  const can = something && coming === 0 && onSend !== null;
  const stands = held !== null && held.draft === draft && held.files === all;
  if (held !== null && !stands) setHeld(null);
  useEffect(() => {
    if (held === null || !stands || !can || gone.current === held) return;
    gone.current = held;
    onSend(held.when);
  }, [held, stands, can, onSend]);
  const send = (when: When = "queue") => {
    if (can) onSend(when);
    else if (something) setHeld({ when, draft, files: all });
  };
  const waiting: "files" | "server" | null =
    stands && !can ? (coming > 0 ? "files" : "server") : null;
  return { can, send, waiting, takeBack: () => setHeld(null) };
}

interface ButtonsProps extends Pick<Props, "waits" | "onStop" | "field"> {
  /** Whether there is something that can be sent. */
  can: boolean;
}

function Buttons({ can, waits, onStop, field }: ButtonsProps) {
  const text = useText();
  const name = waits ? text.queue.add : text.chat.send;
  return (
    <>
      {onStop ? (
        <button
          type="button"
          className={can ? "button square" : "button primary square"}
          title={text.chat.stop}
          onClick={() => {
            onStop();
            focusWithoutKeyboard(field.current); // this button goes; the focus must not
          }}
        >
          <StopIcon />
          <span className="unseen">{text.chat.stop}</span>
        </button>
      ) : null}
      {onStop && !can ? null : (
        <button type="submit" className="button primary square" disabled={!can} title={name}>
          <SendIcon />
          <span className="unseen">{name}</span>
        </button>
      )}
    </>
  );
}
