import { call, type Connection } from "./client";
import type { Message, Progress, Queued, Summary } from "./conversations";
import { ApiError, type Failure } from "./errors";
import { EventParser, type ServerEvent } from "./sse";

/** What the server tells of by itself, by the names of its events. */
export interface ServerEvents {
  joined: {
    conversation: string;
    version: number;
    head: string | null;
    queue: Queued[];
    live: Message[];
  };
  message: Message;
  /** `tokens`: all that the model has written by then; 0 where it does not say. */
  delta: { id: string; kind: "text" | "reasoning"; at: number; text: string; tokens: number };
  progress: { id: string; progress: Progress | null };
  /** A step of a reply, in its place among all; the same place may be told again. */
  step: { id: string; at: number; step: Message["steps"][number] };
  /** What a reply asks consent for, or how that was answered. */
  consent: { id: string; at: number; round: Message["consents"][number] };
  queue: { conversation: string; queue: Queued[] };
  head: { conversation: string; head: string | null; version: number };
  removed: { conversation: string; ids: string[] };
  restored: { conversation: string; ids: string[] };
  summary: Summary;
  gone: { id: string };
  job: Record<string, unknown> & { id: string; state: string };
}

export type EventName = keyof ServerEvents;

/**
 * off: not wanted (the tab is hidden); connecting; open; lost: the server does not answer, and is
 * asked again with growing pauses.
 */
export type LineState = "off" | "connecting" | "open" | "lost";

/** What the browser gives; tests give their own. */
export interface EventWorld {
  visible: () => boolean;
  after: (ms: number, run: () => void) => () => void;
}

/** The server sends a comment every 10 s; silence much longer than that is a dead line. */
const SILENCE = 25_000;
/** Events of the conversation that is watched; of one that is left they are not wanted any more. */
const OF_ONE = new Set(["joined", "message", "delta", "progress", "step", "consent"]);
const PAUSES = [250, 500, 1000, 2000, 4000];

/**
 * The one event stream of this tab.
 *
 * Kept by `fetch` and not by `EventSource`, which cannot send a key. A hidden tab gives its
 * connection back (browsers allow six to a server) and takes it up again when it is shown.
 */
export class EventLine {
  state: LineState = "off";
  /** Why the line was lost, as far as the server said. */
  failure: Failure | null = null;
  private conversation: string | null = null;
  /** What the newest request for the line asked for. */
  private asked: string | null = null;
  private wanted = false;
  private tries = 0;
  private abort: AbortController | null = null;
  /** The line of the conversation before; it tells on until the next one is open. */
  private leaving: AbortController | null = null;
  private cancelPause: (() => void) | null = null;
  private readonly listeners = new Map<EventName, Set<(data: never) => void>>();
  private readonly stateListeners = new Set<() => void>();

  constructor(
    private readonly to: () => Connection,
    private readonly world: EventWorld,
  ) {}

  /** Calls `listener` with each event of this name, until the function it gives is called. */
  on<N extends EventName>(name: N, listener: (data: ServerEvents[N]) => void): () => void {
    const found = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, found);
    found.add(listener);
    return () => found.delete(listener);
  }

  readonly onState = (listener: () => void): (() => void) => {
    this.stateListeners.add(listener);
    return () => this.stateListeners.delete(listener);
  };

  /** Begins to listen, while the tab is seen. */
  start(): void {
    this.wanted = true;
    this.seen();
  }

  stop(): void {
    this.wanted = false;
    this.close("off");
  }

  /** Which conversation's words are told; null for none. */
  watch(conversation: string | null): void {
    if (conversation === this.conversation) return;
    this.conversation = conversation;
    // A page that gives way to another takes its own off first: only the last word counts.
    queueMicrotask(() => this.turn());
  }

  /** Turns to another conversation. An open line is held meanwhile, so that nothing is missed. */
  private turn(): void {
    if (this.state === "off" || this.asked === this.conversation) return;
    if (this.state !== "open") return this.again();
    if (this.leaving) this.abort?.abort();
    else this.leaving = this.abort;
    void this.listen();
  }

  /** The tab was shown or hidden. */
  seen(): void {
    if (!this.wanted) return;
    if (!this.world.visible()) this.close("off");
    else if (this.state === "off") this.again();
  }

  /** Asks at once, where it waited to ask again. */
  again(): void {
    this.close("connecting");
    this.tries = 0;
    void this.listen();
  }

  private close(state: LineState): void {
    this.cancelPause?.();
    this.cancelPause = null;
    this.abort?.abort();
    this.abort = null;
    this.leave();
    this.become(state);
  }

  private leave(): void {
    this.leaving?.abort();
    this.leaving = null;
  }

  private become(state: LineState, why: Failure | null = null): void {
    if (state === this.state && why?.kind === this.failure?.kind) return;
    this.state = state;
    this.failure = why;
    for (const listener of this.stateListeners) listener();
  }

  private async listen(): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    this.asked = this.conversation;
    const where =
      this.conversation === null ? "" : `?conversation=${encodeURIComponent(this.conversation)}`;
    let why: Failure | null = null;
    try {
      const response = await call(this.to(), `/studio/api/events${where}`, {
        headers: { Accept: "text/event-stream" },
        signal: abort.signal,
      });
      if (abort.signal.aborted) return;
      this.tries = 0;
      this.leave();
      this.become("open");
      if (response.body) await this.follow(response.body, abort);
    } catch (error) {
      if (error instanceof ApiError) why = error.failure;
    }
    if (this.abort !== abort) return; // closed, or replaced by another
    this.abort = null;
    this.leave();
    if (why?.kind === "gone" && this.asked !== null) {
      // The conversation went; what happens to the others is still told.
      this.tell({ event: "gone", data: JSON.stringify({ id: this.asked }) });
      if (this.conversation === this.asked) this.conversation = null;
      return this.again();
    }
    this.become("lost", why);
    const pause = PAUSES[Math.min(this.tries, PAUSES.length - 1)] ?? 4000;
    this.tries += 1;
    this.cancelPause = this.world.after(pause, () => {
      this.cancelPause = null;
      void this.listen();
    });
  }

  /** Reads the line to its end. Silence ends it too. */
  private async follow(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
    const reader = body.getReader();
    const parser = new EventParser();
    try {
      for (;;) {
        const cancel = this.world.after(SILENCE, () => void reader.cancel().catch(() => undefined));
        const { done, value } = await reader.read().finally(cancel);
        if (done || abort.signal.aborted) return;
        for (const event of parser.push(value))
          if (this.abort === abort || !OF_ONE.has(event.event)) this.tell(event);
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  private tell({ event, data }: ServerEvent): void {
    const listeners = this.listeners.get(event as EventName);
    if (!listeners) return;
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch {
      return; // not from Kataribe; the next `joined` sets right whatever this meant
    }
    for (const listener of [...listeners]) listener(value as never);
  }
}

export const browserEvents: EventWorld = {
  visible: () => document.visibilityState === "visible",
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
