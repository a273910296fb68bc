import { createContext, use, useCallback, useEffect, useMemo, useSyncExternalStore } from "react";

import type { Acts } from "./acts";
import type { Chats } from "./chats";
import type { Drafts } from "./store";
import type { Id, Message, Shown, Trouble } from "./types";

export interface Talk {
  chats: Chats;
  acts: Acts;
  drafts: Drafts;
}

export const TalkContext = createContext<Talk | null>(null);

export function useTalk(): Talk {
  const talk = use(TalkContext);
  if (!talk) throw new Error("TalkContext is missing above this component");
  return talk;
}

/** The conversation that this page shows, as it grows; null for none, undefined while it is read. */
export function useConversation(id: Id | null): Shown | null | undefined {
  const { chats } = useTalk();
  useEffect(() => {
    chats.watch(id);
    return () => chats.watch(null);
  }, [chats, id]);
  return useSyncExternalStore(chats.subscribe, () => (id === null ? null : chats.get(id)));
}

/** What failed last in a conversation, and at what. */
export function useTrouble(id: Id): Trouble | null {
  const { chats } = useTalk();
  return useSyncExternalStore(chats.subscribe, () => chats.get(id)?.trouble ?? null);
}

/** The person's vote on a group: the winner, null for a tie, undefined for none yet. */
export function useVote(id: Id, group: Id): Id | null | undefined {
  const { chats } = useTalk();
  return useSyncExternalStore(chats.subscribe, () => chats.get(id)?.votes[group]);
}

/** A message in full, as it grows; undefined while it is not here, and then it is read. */
export function useMessage(conversation: Id, id: Id | null): Message | undefined {
  const { chats } = useTalk();
  const subscribe = useCallback(
    (listener: () => void) => (id === null ? () => undefined : chats.shelf.subscribe(id, listener)),
    [chats, id],
  );
  const message = useSyncExternalStore(subscribe, () =>
    id === null ? undefined : chats.shelf.get(id),
  );
  const missing = id !== null && message === undefined;
  useEffect(() => {
    if (missing) chats.want([id], conversation);
  }, [chats, conversation, id, missing]);
  return message;
}

/** The groups of messages, "" for none or unknown; those not here are read. */
export function useGroups(conversation: Id, ids: readonly Id[]): readonly string[] {
  const { chats } = useTalk();
  const subscribe = useCallback(
    (listener: () => void) => {
      const ends = ids.map((id) => chats.shelf.subscribe(id, listener));
      return () => ends.forEach((end) => end());
    },
    [chats, ids],
  );
  const groups = useSyncExternalStore(subscribe, () =>
    ids.map((id) => chats.shelf.get(id)?.group ?? "").join(" "),
  );
  useEffect(() => {
    chats.want(
      ids.filter((id) => !chats.shelf.get(id)),
      conversation,
    );
  }, [chats, conversation, ids]);
  return useMemo(() => groups.split(" "), [groups]);
}
