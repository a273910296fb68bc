import { useEffect, useLayoutEffect, useRef } from "react";
import { type Location, useLocation } from "react-router";

import { useTalk } from "../conversation/context";
import type { Shown } from "../conversation/types";
import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { rowKey, Thread } from "./Thread";
import { Unsent } from "./Unsent";
import type { Windowing } from "./windowing";

interface Props {
  shown: Shown;
  windowing: Windowing;
}

/** The messages of a conversation, or why they cannot be shown. */
export function Conversation({ shown, windowing }: Props) {
  const text = useText();
  const { chats } = useTalk();
  useAddress(shown, windowing);
  if (shown.failure?.kind === "key") return null; // asked for above the composer
  if (shown.state === "failed" && shown.failure)
    return (
      <section className="empty">
        <Failed failure={shown.failure} onRetry={() => void chats.read(shown.id)} />
      </section>
    );
  return (
    <>
      <Thread shown={shown} windowing={windowing}>
        <Unsent shown={shown} />
      </Thread>
      {shown.state === "here" && shown.path.length === 0 && shown.sending.length === 0 ? (
        <p className="soft small nothing">{text.chat.nothing}</p>
      ) : null}
    </>
  );
}

/** The message that an address names; "" for none, or for a sign that no address has. */
function messageIn(hash: string): string {
  try {
    return decodeURIComponent(hash.slice(1));
  } catch {
    return "";
  }
}

/** `/chat/ID#MESSAGE` opens at that message, on whichever branch it stands. */
function useAddress(shown: Shown, windowing: Windowing): void {
  const { acts } = useTalk();
  const { hash, key, state } = useLocation() as Location<{ thought?: boolean } | null>;
  const wanted = messageIn(hash);
  const done = useRef("");
  const there = shown.tree.has(wanted);
  const onPath = shown.path.includes(wanted);
  const visit = `${key} ${wanted}`;
  useEffect(() => {
    if (wanted !== "" && there && !onPath && done.current !== visit)
      void acts.show(shown.id, wanted);
  }, [acts, shown.id, wanted, there, onPath, visit]);
  useLayoutEffect(() => {
    if (wanted === "" || !onPath || done.current === visit) return;
    const node = shown.tree.get(wanted);
    if (!node || !windowing.toRow(rowKey(node))) return;
    done.current = visit;
  });
  useEffect(() => {
    if (wanted === "" || !onPath) return;
    // Its row is drawn when the list has moved there.
    const timer = setInterval(() => {
      const found = document.getElementById(`message-${wanted}`);
      if (!found) return;
      clearInterval(timer);
      for (const one of document.querySelectorAll(".addressed")) one.classList.remove("addressed");
      found.classList.add("addressed");
      // What a search found there is seen.
      if (state?.thought) found.querySelector("details.reasoning")?.toggleAttribute("open", true);
    }, 50);
    return () => clearInterval(timer);
  }, [wanted, onPath, visit, state]);
}
