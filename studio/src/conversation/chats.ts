import type { ConversationApi, ConversationBody } from "../api/conversations";
import type { EventLine, ServerEvents } from "../api/events";
import { ApiError, failure, type Failure } from "../api/errors";
import { Shelf, type Soon } from "./shelf";
import { blank, headed, isWhole, placed, removed, settle, told } from "./shown";
import type { Outbox } from "./store";
import { isLive, type Id, type Message, type Sending, type Shown } from "./types";

/** What the world around gives; tests give their own. */
export interface World {
  newId: () => Id;
  soon: Soon;
  after: (ms: number, run: () => void) => void;
}

/** Failures after which the same question may be answered. */
const PASSES = new Set<Failure["kind"]>(["offline", "busy", "unavailable", "server", "unreadable"]);

/** Messages read at once; the server gives at most 200. */
const BATCH = 50;

/**
 * This tab's copy of conversations. The server is the truth: the copy is read from it, follows its
 * events, and is read anew wherever something was missed. What a person does is in `Acts`.
 */
export class Chats {
  private readonly open = new Map<Id, Shown>();
  private readonly reading = new Set<Id>();
  private readonly rereading = new Set<Id>();
  /** What was told of conversations while they were read for the first time. */
  private readonly early = new Map<Id, ServerEvents["joined"]>();
  private readonly wanted = new Map<Id, Set<Id>>();
  private readonly listeners = new Set<() => void>();
  readonly shelf: Shelf;
  private told = true;
  private watched: Id | null = null;

  constructor(
    readonly api: ConversationApi,
    private readonly line: EventLine,
    readonly outbox: Outbox,
    readonly world: World,
  ) {
    this.shelf = new Shelf(world.soon);
    line.on("joined", (event) => this.joined(event));
    line.on("message", (event) => this.message(event));
    line.on("delta", ({ id, kind, at, text, tokens }) => {
      if (this.shelf.write(id, kind, at, text, tokens) === "gap") this.want([id]);
      else this.wrote(id);
    });
    line.on("progress", ({ id, progress }) => this.shelf.progress(id, progress));
    line.on("step", ({ id, at, step }) => {
      if (this.shelf.listed(id, "steps", at, step) === "gap") this.want([id]);
    });
    line.on("consent", ({ id, at, round }) => {
      if (this.shelf.listed(id, "consents", at, round) === "gap") this.want([id]);
    });
    line.on("queue", ({ conversation, queue }) =>
      this.change(conversation, (shown) => settle({ ...shown, queue })),
    );
    line.on("head", ({ conversation, head, version }) => {
      this.change(conversation, (shown) => headed(shown, head, version));
      this.mend(conversation);
    });
    line.on("removed", ({ conversation, ids }) => {
      this.change(conversation, (shown) => removed(shown, ids));
      for (const id of ids) this.shelf.drop(id);
    });
    line.on("restored", ({ conversation }) => void this.read(conversation));
    line.on("summary", (summary) => {
      if (summary.deleted) this.gone({ id: summary.id });
      else if (this.open.get(summary.id)?.state === "gone")
        void this.read(summary.id); // it is back
      else this.change(summary.id, (shown) => ({ ...shown, summary }));
    });
    line.on("gone", (event) => this.gone(event));
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Calls back whenever the server's news arrive again. */
  onOpen(run: () => void): void {
    this.line.onState(() => {
      if (this.line.state === "open") run();
    });
  }

  /** Every conversation of this tab. */
  all(): Iterable<Shown> {
    return this.open.values();
  }

  /** A conversation; undefined while nobody knows yet. */
  get(id: Id): Shown | undefined {
    return this.open.get(id);
  }

  /** The conversation that a page shows: it is read, and its words are followed. */
  watch(id: Id | null): void {
    this.watched = id;
    const shown = id === null ? undefined : this.open.get(id);
    this.line.watch(shown?.state === "unmade" ? null : id);
    if (id === null || shown?.state === "unmade") return;
    if (shown?.state !== "here" || this.line.state !== "open") void this.read(id);
  }

  /** The server has no such conversation (any more). */
  lost(id: Id): void {
    this.change(id, (shown) => ({ ...shown, state: "gone" }));
  }

  /** The server knows of a conversation that was begun here. */
  made(id: Id): void {
    this.change(id, (shown) => (shown.state === "unmade" ? { ...shown, state: "here" } : shown));
    if (this.watched === id) this.line.watch(id);
  }

  /** Reads a conversation from the server. */
  async read(id: Id): Promise<void> {
    if (this.reading.has(id)) {
      this.rereading.add(id); // what is on its way may be older than what is asked for now
      return;
    }
    this.reading.add(id);
    try {
      this.absorb(await this.api.open(id));
    } catch (error) {
      this.unread(id, failureIn(error));
    } finally {
      this.reading.delete(id);
      const early = this.early.get(id);
      this.early.delete(id);
      if (this.rereading.delete(id)) void this.read(id);
      else if (early) this.joined(early);
    }
  }

  private unread(id: Id, why: Failure): void {
    const known = this.open.get(id);
    if (why.kind === "gone") {
      // Begun in this tab, and never confirmed: what was said is here, and can still be sent.
      const unsent = known?.sending.length ? known.sending : this.unsent(id);
      if (unsent.length > 0 && (known === undefined || known.version < 0))
        return this.put({ ...blank(id, "unmade", unsent) });
      return this.put({ ...(known ?? blank(id, "gone")), state: "gone" });
    }
    if (known?.state === "here") return; // what was read before still stands
    this.put({ ...(known ?? blank(id, "failed")), state: "failed", failure: why });
  }

  /** What was on its way when the page was left. */
  private unsent(id: Id): Sending[] {
    const lost = failure("unsent");
    return this.outbox.read(id).map((one) => ({ ...one, failure: lost }));
  }

  /** Takes over a conversation as the server told it. */
  absorb(body: ConversationBody): void {
    const { id } = body.summary;
    const known = this.open.get(id);
    for (const message of body.messages) this.shelf.put(message);
    // The event stream was faster: taking this over would lose what it told since.
    if (known?.state === "here" && body.version < known.version) {
      this.world.after(30, () => void this.read(id));
      return;
    }
    let next = told(known ?? blank(id, "here", this.unsent(id)), body);
    for (const { id: one } of body.messages) {
      const message = this.shelf.get(one);
      if (message) next = placed(next, message);
    }
    if (body.summary.deleted) next = { ...next, state: "gone" };
    this.put(next);
    this.outbox.write(id, next.sending);
    // The line let go of a conversation that was gone.
    if (id === this.watched && next.state === "here") this.line.watch(id);
    // Replies that ran here and are not in the answer: on other branches, or ended meanwhile.
    const here = new Set(body.messages.map((message) => message.id));
    this.want(next.live.filter((one) => !here.has(one)));
  }

  /** Messages are needed in full: they are read together, soon. */
  want(ids: readonly Id[], conversation = this.watched): void {
    if (conversation === null || ids.length === 0) return;
    const waiting = this.wanted.get(conversation);
    const wanted = waiting ?? new Set<Id>();
    for (const id of ids) wanted.add(id);
    this.wanted.set(conversation, wanted);
    if (!waiting) this.world.after(30, () => void this.fetch(conversation));
  }

  private async fetch(conversation: Id): Promise<void> {
    const wanted = this.wanted.get(conversation) ?? new Set<Id>();
    const batch = [...wanted].slice(-BATCH); // what was asked for last is what is looked at
    for (const id of batch) wanted.delete(id);
    try {
      const found = await this.api.read(conversation, batch);
      for (const message of found) this.place(conversation, message);
      const ids = new Set(found.map((message) => message.id));
      const missing = batch.filter((id) => !ids.has(id));
      if (missing.length > 0) this.change(conversation, (shown) => removed(shown, missing));
    } catch (error) {
      const { kind } = failureIn(error);
      if (PASSES.has(kind)) this.world.after(1500, () => this.want(batch, conversation));
    }
    if (wanted.size > 0) void this.fetch(conversation);
    else this.wanted.delete(conversation);
  }

  /** Puts a message where it belongs. */
  place(conversation: Id, message: Message): void {
    this.shelf.put(message);
    const now = this.shelf.get(message.id) ?? message;
    this.change(conversation, (shown) => placed(shown, now));
  }

  /** Replaces a conversation by what `next` makes of it. */
  change(id: Id, next: (shown: Shown) => Shown): void {
    const shown = this.open.get(id);
    if (!shown) return this.missed(id);
    const then = next(shown);
    if (then === shown) return;
    if (then.sending !== shown.sending) this.outbox.write(id, then.sending);
    this.put(then);
    if (!isWhole(then)) this.world.after(300, () => this.find(id));
  }

  /** Something happened in a conversation that is not here yet: it may have been read before. */
  private missed(id: Id): void {
    if (this.reading.has(id)) this.rereading.add(id);
  }

  put(shown: Shown): void {
    this.open.set(shown.id, shown);
    if (!this.told) return;
    this.told = false;
    this.world.soon(() => {
      this.told = true;
      for (const listener of [...this.listeners]) listener();
    });
  }

  private joined(event: ServerEvents["joined"]): void {
    const { conversation, version, head, queue, live } = event;
    const shown = this.open.get(conversation);
    for (const message of live) this.shelf.put(message);
    if (!shown && this.reading.has(conversation)) {
      this.early.set(conversation, event);
      return;
    }
    const same = shown?.state === "here" && shown.version === version && shown.head === head;
    if (!same) void this.read(conversation);
    this.change(conversation, (known) => {
      // Lower than ours: the server's database is an older one now, and still the truth.
      let next = settle({ ...known, queue, version: Math.min(known.version, version) });
      for (const message of live) next = placed(next, message);
      return next;
    });
    const running = new Set(live.map((message) => message.id));
    this.want(
      (shown?.live ?? []).filter((id) => !running.has(id)),
      conversation,
    );
  }

  private message(message: Message): void {
    const id = this.watched;
    const shown = id === null ? undefined : this.open.get(id);
    if (id === null) return;
    if (!shown) return this.missed(id);
    const { parent } = message;
    const strange = parent !== null && !shown.tree.has(parent) && !shown.tree.has(message.id);
    this.place(id, message);
    if (strange) void this.read(id);
    else this.mend(id);
  }

  /** A reply that waited writes now: whoever counts what runs hears nothing new, but it is known. */
  private wrote(id: Id): void {
    const message = this.shelf.get(id);
    if (this.watched !== null && message && isLive(message))
      this.change(this.watched, (shown) => placed(shown, message));
  }

  /** A head of which the message has not come yet: the branch is drawn again when it has. */
  private mend(id: Id): void {
    this.change(id, (shown) => {
      if (shown.head === null || shown.path.at(-1) === shown.head) return shown;
      if (!shown.tree.has(shown.head)) return shown;
      return { ...shown, path: shown.tree.path(shown.head) };
    });
  }

  /** A branch of which a part has still not come: it was missed, or an older answer took it away. */
  private find(id: Id): void {
    const shown = this.open.get(id);
    if (shown?.state === "here" && !isWhole(shown)) void this.read(id);
  }

  private gone({ id }: { id: Id }): void {
    this.change(id, (shown) => (shown.state === "unmade" ? shown : { ...shown, state: "gone" }));
  }
}

export function failureIn(error: unknown): Failure {
  return error instanceof ApiError ? error.failure : failure("broken", String(error));
}
