import { useRef } from "react";

import { Composition, type KeyPress } from "./composing";

interface Instant {
  timeStamp: number;
}

/**
 * Follows the input method of a field, so that its Enter never sends.
 *
 * Spread `inForm` on a field of a form. A field with keys of its own spreads `following`, and asks
 * `owns` before it takes a key for the page.
 */
export function useComposition() {
  const composition = useRef(new Composition());
  const owns = (event: KeyPress) => composition.current.owns(event);
  const following = {
    onCompositionStart: () => composition.current.start(),
    onCompositionEnd: (event: Instant) => composition.current.end(event.timeStamp),
    onBlur: (event: Instant) => composition.current.end(event.timeStamp),
  };
  const onKeyDown = ({
    nativeEvent,
  }: {
    nativeEvent: KeyPress & Pick<Event, "preventDefault">;
  }) => {
    if (nativeEvent.key === "Enter" && owns(nativeEvent)) nativeEvent.preventDefault();
  };
  return { owns, following, inForm: { ...following, onKeyDown } };
}
