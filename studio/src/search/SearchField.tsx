import { useEffect, useRef, useState } from "react";

import { LONGEST_QUERY } from "../api/search";
import { useText } from "../i18n";
import { useComposition } from "../ui/useComposition";

interface Props {
  words: string;
  onWords: (words: string) => void;
}

/** Milliseconds without a key before what was typed is looked for. */
const PAUSE = 180;

/**
 * Looks for what is typed as it is typed, but never for what an input method still composes: half
 * a word in Latin letters would be looked for, and its answers would jump under the person's eyes.
 */
export function SearchField({ words, onWords }: Props) {
  const text = useText();
  const [typed, setTyped] = useState(words);
  const [composing, setComposing] = useState(false);
  const [said, setSaid] = useState(words);
  const field = useRef<HTMLInputElement>(null);
  const { inForm } = useComposition();
  const latest = useRef(onWords);
  useEffect(() => {
    latest.current = onWords;
  });
  if (words !== said) {
    // The address was changed from elsewhere (Back, or another search was opened).
    setSaid(words);
    if (!composing) setTyped(words);
  }
  useEffect(() => field.current?.focus(), []);
  useEffect(() => {
    if (composing || typed === said) return;
    const timer = setTimeout(() => {
      setSaid(typed);
      latest.current(typed);
    }, PAUSE);
    return () => clearTimeout(timer);
  }, [typed, said, composing]);
  const ended = (event: { timeStamp: number }) => {
    inForm.onCompositionEnd(event);
    setComposing(false);
  };
  return (
    <form
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        if (composing || typed === said) return;
        setSaid(typed);
        onWords(typed);
      }}
    >
      <input
        ref={field}
        type="search"
        className="field"
        aria-label={text.search.label}
        placeholder={text.search.placeholder}
        maxLength={LONGEST_QUERY}
        autoComplete="off"
        spellCheck={false}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        {...inForm}
        onCompositionStart={() => {
          inForm.onCompositionStart();
          setComposing(true);
        }}
        onCompositionEnd={ended}
        onBlur={ended}
      />
    </form>
  );
}
