import { parseConversation } from "./parse";
import type { Conversation, Id } from "./types";

/**
 * Where conversations are kept. The pages know only this, so that the server's store can take the
 * place of the tab's.
 */
export interface ConversationStore {
  load(id: Id): Promise<Conversation | null>;
  /** Whether it was kept; false when storage is full or closed. */
  save(conversation: Conversation): Promise<boolean>;
}

const PREFIX = "kataribe.conversation.";

/** Keeps conversations in the browser's tab: they survive a reload, and end with the tab. */
export class TabStore implements ConversationStore {
  constructor(private readonly storage: () => Storage) {}

  async load(id: Id): Promise<Conversation | null> {
    try {
      const found = this.storage().getItem(PREFIX + id);
      return found === null ? null : parseConversation(found);
    } catch {
      return null;
    }
  }

  async save(conversation: Conversation): Promise<boolean> {
    return this.saveNow(conversation);
  }

  /** As `save`, at once: a page that is being left has no time to wait. */
  saveNow(conversation: Conversation): boolean {
    try {
      this.storage().setItem(PREFIX + conversation.id, JSON.stringify(conversation));
      return true;
    } catch {
      return false;
    }
  }
}

const DRAFTS = "kataribe.draft.";

/** What is typed and not yet sent, per conversation ("new" before there is one). */
export class Drafts {
  /** What storage did not take (full or closed) lasts at least as long as the page. */
  private readonly here = new Map<string, string>();

  constructor(private readonly storage: () => Storage) {}

  read(conversation: Id | null): string {
    const name = DRAFTS + (conversation ?? "new");
    try {
      return this.here.get(name) ?? this.storage().getItem(name) ?? "";
    } catch {
      return "";
    }
  }

  write(conversation: Id | null, text: string): void {
    const name = DRAFTS + (conversation ?? "new");
    try {
      if (text === "") this.storage().removeItem(name);
      else this.storage().setItem(name, text);
      this.here.delete(name);
    } catch {
      this.here.set(name, text);
    }
  }
}
