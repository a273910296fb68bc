import type { Attached, Id, Sending } from "./types";

/** Small things kept in this browser; what it does not take lasts at least as long as the page. */
export class Kept {
  private readonly here = new Map<string, string>();

  constructor(private readonly storage: () => Storage) {}

  read(name: string): string | null {
    try {
      return this.here.get(name) ?? this.storage().getItem(name);
    } catch {
      return null;
    }
  }

  write(name: string, value: string | null): void {
    try {
      if (value === null) this.storage().removeItem(name);
      else this.storage().setItem(name, value);
      this.here.delete(name);
    } catch {
      if (value === null) this.here.delete(name);
      else this.here.set(name, value);
    }
  }
}

const DRAFT = "kataribe.draft.";
const FILES = "kataribe.files.";
const EDIT = "kataribe.edit.";
const OUTBOX = "kataribe.outbox.";

/**
 * What is typed and not yet sent, per conversation ("new" before there is one), and what is changed
 * in its place, per message. A tab goes by its own words; another takes over what a tab left.
 */
export class Drafts {
  constructor(
    private readonly kept: Kept,
    private readonly tab: Kept,
  ) {}

  read(conversation: Id | null): string {
    return this.get(DRAFT + (conversation ?? "new")) ?? "";
  }

  write(conversation: Id | null, text: string): void {
    this.set(DRAFT + (conversation ?? "new"), text === "" ? null : text);
  }

  files(conversation: Id | null): Attached[] {
    return listed(this.get(FILES + (conversation ?? "new")), isAttached);
  }

  writeFiles(conversation: Id | null, files: readonly Attached[]): void {
    const name = FILES + (conversation ?? "new");
    this.set(name, files.length === 0 ? null : JSON.stringify(files));
  }

  /** Words of a message, a remark or a waiting item that are being changed; null: they are not. */
  edit(what: string): string | null {
    return this.get(EDIT + what);
  }

  writeEdit(what: string, text: string | null): void {
    this.set(EDIT + what, text);
  }

  private get(name: string): string | null {
    return this.tab.read(name) ?? this.kept.read(name);
  }

  private set(name: string, value: string | null): void {
    const mine = this.get(name) === this.kept.read(name);
    this.tab.write(name, value);
    if (value !== null || mine) this.kept.write(name, value); // what another tab types stays
  }
}

/**
 * What was sent and not confirmed, so that a reload in between loses nothing. Several tabs keep
 * theirs side by side; each takes off only what it has had itself.
 */
export class Outbox {
  private readonly mine = new Set<Id>();

  constructor(private readonly kept: Kept) {}

  read(conversation: Id): Sending[] {
    const found = listed(this.kept.read(OUTBOX + conversation), isSending);
    for (const { body } of found) this.mine.add(body.id); // told twice, it is still said once
    return found;
  }

  write(conversation: Id, sending: readonly Sending[]): void {
    for (const { body } of sending) this.mine.add(body.id);
    const name = OUTBOX + conversation;
    const before = this.kept.read(name);
    const others = listed(before, isSending).filter(({ body }) => !this.mine.has(body.id));
    const all = [...others, ...sending];
    const then = all.length === 0 ? null : JSON.stringify(all);
    if (then !== before) this.kept.write(name, then);
  }
}

/** A list that was written as JSON; empty when there is none, or something else. */
export function listed<T>(written: string | null, is: (value: unknown) => value is T): T[] {
  try {
    const value: unknown = JSON.parse(written ?? "[]");
    return Array.isArray(value) ? value.filter(is) : [];
  } catch {
    return [];
  }
}

type Fields = Record<string, unknown>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isAttached(value: unknown): value is Attached {
  if (!isFields(value)) return false;
  const { id, name, media_type, size } = value;
  return [id, name, media_type].every((one) => typeof one === "string") && typeof size === "number";
}

function isSending(value: unknown): value is Sending {
  if (!isFields(value) || !isFields(value["body"])) return false;
  const { id, text } = value["body"];
  if (typeof id !== "string" || typeof text !== "string") return false;
  const files = value["attachments"];
  return Array.isArray(files) && files.every(isAttached);
}
