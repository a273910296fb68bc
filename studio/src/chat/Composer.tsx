import { use, useEffect, useId, useLayoutEffect, useRef, type RefObject } from "react";

import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { Composition, isSendKey } from "../ui/composing";
import { SendIcon, StopIcon } from "../ui/icons";
import { focusWithoutKeyboard } from "../ui/keys";

interface Props {
  draft: string;
  onDraft: (text: string) => void;
  /** Sends the draft; null while nothing can be sent. */
  onSend: (() => void) | null;
  /** Stops the running reply; null while none runs. */
  onStop: (() => void) | null;
  field: RefObject<HTMLTextAreaElement | null>;
}

export function Composer({ draft, onDraft, onSend, onStop, field }: Props) {
  const text = useText();
  const { enterSends } = use(SettingsContext).settings;
  const composition = useRef(new Composition());
  const hint = useId();
  useGrowing(field, draft);
  useEffect(() => {
    focusWithoutKeyboard(field.current);
  }, [field]);

  const empty = draft.trim() === "";
  const sends = enterSends ? text.chat.hintSend : text.chat.hintSwapped;
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        if (!empty) onSend?.();
      }}
    >
      <div className="box">
        <textarea
          ref={field}
          rows={1}
          value={draft}
          aria-label={text.chat.composer}
          aria-describedby={hint}
          placeholder={text.chat.placeholder}
          enterKeyHint={enterSends ? "send" : "enter"}
          dir="auto"
          onChange={(event) => onDraft(event.target.value)}
          onCompositionStart={() => composition.current.start()}
          onCompositionEnd={(event) => composition.current.end(event.timeStamp)}
          onBlur={(event) => composition.current.end(event.timeStamp)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || composition.current.owns(event.nativeEvent)) return;
            if (!isSendKey(event, enterSends)) return;
            event.preventDefault();
            if (!empty) onSend?.();
          }}
        />
        {onStop ? (
          <button
            type="button"
            className="button primary square"
            title={text.chat.stop}
            onClick={() => {
              onStop();
              focusWithoutKeyboard(field.current); // this button goes; the focus must not
            }}
          >
            <StopIcon />
            <span className="unseen">{text.chat.stop}</span>
          </button>
        ) : (
          <button
            type="submit"
            className="button primary square"
            disabled={empty || !onSend}
            title={text.chat.send}
          >
            <SendIcon />
            <span className="unseen">{text.chat.send}</span>
          </button>
        )}
      </div>
      <p id={hint} className="hint">
        {onStop && !empty ? text.chat.waitForReply : sends}
      </p>
    </form>
  );
}

/** The field is as high as its text, up to what its style allows. */
function useGrowing(field: RefObject<HTMLTextAreaElement | null>, draft: string): void {
  useLayoutEffect(() => {
    if (field.current) grow(field.current);
  }, [field, draft]);
}

function grow(box: HTMLTextAreaElement): void {
  if (CSS.supports("field-sizing", "content")) return; // the style does it
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}
