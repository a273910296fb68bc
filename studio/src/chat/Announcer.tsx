import { useEffect, useRef } from "react";

import { isLive } from "../conversation/reply";
import type { Reply } from "../conversation/types";
import { useText } from "../i18n";
import { nextSentences } from "./sentences";

/** Milliseconds between announcements: a screen reader is told sentences, not tokens. */
const PACE = 1500;

/** Says the newest reply to screen readers, politely, in whole sentences as they come. */
export function Announcer({ reply }: { reply: Reply | null }) {
  const text = useText();
  const region = useRef<HTMLDivElement>(null);
  const place = useRef({ id: "", upTo: 0 });
  const latest = useRef(reply);
  useEffect(() => {
    latest.current = reply;
  });

  const id = reply?.id ?? "";
  const live = reply !== null && isLive(reply);
  useEffect(() => {
    const say = (words: string) => {
      if (region.current) region.current.textContent = words;
    };
    const at = place.current;
    const words = () => latest.current?.text ?? "";
    if (!live) {
      if (at.id === "" || at.id !== id) return;
      say(`${words().slice(at.upTo)} ${text.chat.ended}`.trim());
      at.id = "";
      return;
    }
    if (at.id !== id) {
      place.current = { id, upTo: 0 };
      say(text.chat.started);
    }
    const timer = setInterval(() => {
      const next = nextSentences(words(), place.current.upTo);
      if (next === "") return;
      place.current.upTo += next.length;
      say(next);
    }, PACE);
    return () => clearInterval(timer);
  }, [id, live, text]);

  return (
    <div ref={region} className="unseen" role="status" aria-live="polite" aria-atomic="true" />
  );
}
