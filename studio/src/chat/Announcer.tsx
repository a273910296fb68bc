import { useEffect, useRef } from "react";

import { isLive, type Message } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import type { Catalogue } from "../i18n/catalogue";
import { ending } from "./ending";
import { nextSentences, spoken } from "./sentences";
import { progressLine } from "./Waiting";

/** Milliseconds between announcements: a screen reader is told sentences, not tokens. */
const PACE = 1500;

/**
 * Says the newest reply to screen readers, politely: what it waits for, then whole sentences as
 * they come, then how it ended.
 */
export function Announcer({ reply }: { reply: Message | null }) {
  const text = useText();
  const language = useLanguage();
  const region = useRef<HTMLDivElement>(null);
  const place = useRef({ id: "", upTo: 0, stage: "" });
  const latest = useRef(reply);
  useEffect(() => {
    latest.current = reply;
  });

  const id = reply?.id ?? "";
  const live = reply !== null && isLive(reply);
  useEffect(() => {
    const say = (words: string) => {
      if (region.current) region.current.textContent = spoken(words);
    };
    const at = place.current;
    const words = () => latest.current?.text ?? "";
    if (!live) {
      if (at.id === "" || at.id !== id) return;
      say(`${words().slice(at.upTo)} ${ended(text, latest.current)}`.trim());
      at.id = "";
      return;
    }
    if (at.id !== id) {
      place.current = { id, upTo: 0, stage: "" };
      say(text.chat.started);
    }
    const timer = setInterval(() => {
      const progress = latest.current?.progress;
      if (progress && progress.stage !== place.current.stage) {
        place.current.stage = progress.stage;
        return say(progressLine(text, language, progress));
      }
      const next = nextSentences(words(), place.current.upTo);
      if (next === "") return;
      place.current.upTo += next.length;
      say(next);
    }, PACE);
    return () => clearInterval(timer);
  }, [id, live, text, language]);

  return (
    <div ref={region} className="unseen" role="status" aria-live="polite" aria-atomic="true" />
  );
}

/** Words for the end of a reply. A failure without a word before it is an alert of its own. */
function ended(text: Catalogue, reply: Message | null): string {
  if (reply === null) return "";
  if (reply.state === "failed") return reply.text === "" ? "" : text.chat.brokeOff;
  return ending(text, reply) ?? text.chat.ended;
}
