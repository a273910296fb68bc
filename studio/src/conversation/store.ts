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

  /** A value that was written as JSON; null when there is none, or something else. */
  list<T>(name: string, is: (value: unknown) => value is T): T[] {
    try {
      const value: unknown = JSON.parse(this.read(name) ?? "[]");
      return Array.isArray(value) ? value.filter(is) : [];
    } catch {
      return [];
    }
  }
}

const DRAFT = "kataribe.draft.";
const FILES = "kataribe.files.";
const OUTBOX = "kataribe.outbox.";

/** What is typed and not yet sent, per conversation ("new" before there is one). */
export class Drafts {
  constructor(private readonly kept: Kept) {}

  read(conversation: Id | null): string {
    return this.kept.read(DRAFT + (conversation ?? "new")) ?? "";
  }

  write(conversation: Id | null, text: string): void {
    this.kept.write(DRAFT + (conversation ?? "new"), text === "" ? null : text);
  }

  files(conversation: Id | null): Attached[] {
    return this.kept.list(FILES + (conversation ?? "new"), isAttached);
  }

  writeFiles(conversation: Id | null, files: readonly Attached[]): void {
    const name = FILES + (conversation ?? "new");
    this.kept.write(name, files.length === 0 ? null : JSON.stringify(files));
  }
}

/** What was sent and not confirmed, so that a reload in between loses nothing. */
export class Outbox {
  constructor(private readonly kept: Kept) {}

  read(conversation: Id): Sending[] {
    return this.kept.list(OUTBOX + conversation, isSending);
  }

  write(conversation: Id, sending: readonly Sending[]): void {
    this.kept.write(OUTBOX + conversation, sending.length === 0 ? null : JSON.stringify(sending));
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
