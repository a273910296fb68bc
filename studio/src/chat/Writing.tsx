import {
  use,
  useLayoutEffect,
  type ClipboardEvent,
  type KeyboardEvent,
  type RefObject,
} from "react";

import { SettingsContext } from "../settings/context";
import { isSendKey } from "../ui/composing";
import { useComposition } from "../ui/useComposition";

interface Props {
  value: string;
  onValue: (text: string) => void;
  /** The key that sends was pressed, and no input method was composing. */
  onSubmit: () => void;
  onEscape?: () => void;
  onPaste?: (event: ClipboardEvent<HTMLTextAreaElement>) => void;
  field: RefObject<HTMLTextAreaElement | null>;
  label: string;
  describedBy?: string;
  placeholder?: string;
}

/**
 * A field for words that a key sends. Every such field of the chat is this one, so that in none of
 * them the Enter of an input method sends.
 */
export function Writing({ value, onValue, onSubmit, onEscape, onPaste, field, ...more }: Props) {
  const { enterSends } = use(SettingsContext).settings;
  const { owns, following } = useComposition();
  useLayoutEffect(() => {
    if (field.current) grow(field.current);
  }, [field, value]);
  const onKey = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (owns(event.nativeEvent)) return;
    if (event.key === "Escape" && onEscape) {
      event.preventDefault();
      event.stopPropagation();
      onEscape();
    }
    if (!isSendKey(event, enterSends)) return;
    event.preventDefault();
    onSubmit();
  };
  return (
    <textarea
      ref={field}
      rows={1}
      value={value}
      aria-label={more.label}
      {...(more.describedBy === undefined ? {} : { "aria-describedby": more.describedBy })}
      {...(more.placeholder === undefined ? {} : { placeholder: more.placeholder })}
      enterKeyHint={enterSends ? "send" : "enter"}
      dir="auto"
      onChange={(event) => onValue(event.target.value)}
      {...following}
      onKeyDown={onKey}
      {...(onPaste ? { onPaste } : {})}
    />
  );
}

/** The field is as high as its text, up to what its style allows. */
function grow(box: HTMLTextAreaElement): void {
  if (CSS.supports("field-sizing", "content")) return; // the style does it
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}
