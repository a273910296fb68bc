/** The parts of a key event that decide. `nativeEvent` of React's has them too. */
export interface KeyPress {
  key: string;
  keyCode: number;
  isComposing: boolean;
  timeStamp: number;
}

/**
 * Tells keys that belong to an input method from keys that are meant for the page.
 *
 * Chromium and Firefox send the confirming Enter while `isComposing` is true. Safari ends the
 * composition first and sends the Enter after it with `isComposing` false and keyCode 229 (WebKit
 * bug 165004); some keyboards then say keyCode 13, so an Enter in the same instant counts too.
 */
export class Composition {
  private composing = false;
  private endedAt = -Infinity;

  start(): void {
    this.composing = true;
  }

  end(timeStamp: number): void {
    if (!this.composing) return; // a field that is only left has no Enter to come
    this.composing = false;
    this.endedAt = timeStamp;
  }

  /** Whether this key belongs to the input method. */
  owns(event: KeyPress): boolean {
    if (belongsToInputMethod(event) || this.composing) return true;
    return event.key === "Enter" && event.timeStamp - this.endedAt < SAME_INSTANT;
  }
}

/** Milliseconds: no person presses Enter twice so fast (key repeat begins at 250 and more). */
const SAME_INSTANT = 20;

/** What one event alone says, for places without a field of their own. */
export function belongsToInputMethod(event: Pick<KeyPress, "keyCode" | "isComposing">): boolean {
  return event.isComposing || event.keyCode === 229;
}

interface Modifiers {
  key: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

/** Whether an Enter (known not to be an input method's) sends. */
export function isSendKey(event: Modifiers, enterSends: boolean): boolean {
  if (event.key !== "Enter" || event.altKey) return false;
  if (event.ctrlKey || event.metaKey) return true;
  return enterSends && !event.shiftKey;
}
