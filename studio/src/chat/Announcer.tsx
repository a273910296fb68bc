import { useEffect, useRef } from "react";

import { isLive, type Message } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import type { Catalogue } from "../i18n/catalogue";
import { waitingOf } from "../steps/arrange";
import { ending } from "./ending";
import { nextSentences, spoken } from "./sentences";
import { progressLine } from "./Waiting";

/** Milliseconds between announcements: a screen reader is told sentences, not tokens. */
const PACE = 1500;

interface Props {
  reply: Message | null;
  /** Something was just said here, so a reply is to come; it may be over when it is first heard of. */
  expected: boolean;
}

/**
 * Says the newest reply to screen readers, politely: what it waits for, then whole sentences as
 * they come, then how it ended.
 */
export function Announcer({ reply, expected }: Props) {
  const text = useText();
  const language = useLanguage();
  const region = useRef<HTMLDivElement>(null);
  const place = useRef({ id: "", upTo: 0, stage: "" });
  const awaited = useRef<string | null>(null); // the reply before the one that is to come
  const latest = useRef(reply);
  useEffect(() => {
    latest.current = reply;
  });

  const id = reply?.id ?? "";
  useEffect(() => {
    if (expected) awaited.current ??= id;
  }, [expected, id]);
  const live = reply !== null && isLive(reply);
  useEffect(() => {
    const say = (words: string) => {
      if (region.current) region.current.textContent = spoken(words);
    };
    const at = place.current;
    const words = () => latest.current?.text ?? "";
    if (!live) {
      if (awaited.current !== null && id !== "" && id !== awaited.current && at.id !== id) {
        at.id = id; // it came and ended between two looks
        at.upTo = 0;
      }
      if (at.id === "" || at.id !== id) return;
      awaited.current = null;
      say(`${words().slice(at.upTo)} ${ended(text, latest.current)}`.trim());
      at.id = "";
      return;
    }
    awaited.current = null;
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
      const [asks] = latest.current ? waitingOf(latest.current) : [];
      if (asks && asks.id !== place.current.stage) {
        place.current.stage = asks.id;
        return say(text.consent.announced(asks.name));
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
