import { createContext, use, useEffect, useSyncExternalStore } from "react";

import type { Chats } from "./chats";
import type { Drafts } from "./store";
import type { Conversation, Id } from "./types";

export interface Talk {
  chats: Chats;
  drafts: Drafts;
}

export const TalkContext = createContext<Talk | null>(null);

export function useTalk(): Talk {
  const talk = use(TalkContext);
  if (!talk) throw new Error("TalkContext is missing above this component");
  return talk;
}

/** A conversation as it grows; null when there is none, undefined while it is looked for. */
export function useConversation(id: Id | null): Conversation | null | undefined {
  const { chats } = useTalk();
  useEffect(() => {
    if (id !== null) void chats.load(id);
  }, [chats, id]);
  return useSyncExternalStore(chats.subscribe, () => (id === null ? null : chats.get(id)));
}

/** Whether conversations are being kept; false when the tab's storage is full or closed. */
export function useKept(): boolean {
  const { chats } = useTalk();
  return useSyncExternalStore(chats.subscribe, () => chats.kept);
}
