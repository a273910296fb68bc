import { isLive, type Id, type Message, type Progress } from "./types";

/** Calls back soon, at most once per drawn frame. */
export type Soon = (run: () => void) => void;

/**
 * Messages in full, as far as they were read, with who looks at each: a word that arrives draws
 * its own message anew and nothing else, at most once per frame.
 */
export class Shelf {
  private readonly messages = new Map<Id, Message>();
  private readonly listeners = new Map<Id, Set<() => void>>();
  private readonly changed = new Set<Id>();

  constructor(private readonly soon: Soon) {}

  get(id: Id): Message | undefined {
    return this.messages.get(id);
  }

  subscribe(id: Id, listener: () => void): () => void {
    const found = this.listeners.get(id) ?? new Set();
    this.listeners.set(id, found);
    found.add(listener);
    return () => {
      found.delete(listener);
      if (found.size === 0) this.listeners.delete(id);
    };
  }

  /** Puts a message as the server told it. Late news of one that is further here is passed over. */
  put(message: Message): boolean {
    const here = this.messages.get(message.id);
    if (here && isBehind(message, here)) return false;
    // An answer that says of no progress may be older than the news of some.
    const waits = here?.state === "waiting" && message.state === "waiting";
    const progress = message.progress ?? (waits ? here.progress : null);
    this.messages.set(message.id, { ...message, progress });
    this.tell(message.id);
    return true;
  }

  drop(id: Id): void {
    if (this.messages.delete(id)) this.tell(id);
  }

  /**
   * Adds words at their place (`at`: UTF-16 units before them; `tokens`: all written by then, or 0).
   *
   * Gives "gap" when words before them are missing: then the message must be read anew.
   */
  write(id: Id, kind: "text" | "reasoning", at: number, words: string, tokens = 0): "done" | "gap" {
    const here = this.messages.get(id);
    if (!here) return "gap";
    if (!isLive(here)) return "done"; // it has ended, and what it said is all here
    const known = here[kind];
    if (at > known.length) return "gap";
    const more = words.slice(known.length - at);
    if (more === "" && here.state === "writing") return "done";
    const written = tokens > 0 ? { written: tokens } : {};
    const said = { [kind]: known + more, ...written };
    this.messages.set(id, { ...here, state: "writing", progress: null, ...said });
    this.tell(id);
    return "done";
  }

  /** Puts a step, or a round of consent, in its place among the reply's; "gap" as in `write`. */
  listed<K extends "steps" | "consents">(
    id: Id,
    kind: K,
    at: number,
    one: Message[K][number],
  ): "done" | "gap" {
    const here = this.messages.get(id);
    if (!here) return "gap";
    if (!isLive(here)) return "done";
    if (at > here[kind].length) return "gap";
    const all = [...here[kind].slice(0, at), one, ...here[kind].slice(at + 1)];
    this.messages.set(id, { ...here, progress: null, [kind]: all });
    this.tell(id);
    return "done";
  }

  progress(id: Id, progress: Progress | null): void {
    const here = this.messages.get(id);
    if (here?.state !== "waiting") return;
    this.messages.set(id, { ...here, progress });
    this.tell(id);
  }

  private tell(id: Id): void {
    if (this.changed.size === 0) this.soon(() => this.flush());
    this.changed.add(id);
  }

  private flush(): void {
    const changed = [...this.changed];
    this.changed.clear();
    for (const id of changed)
      for (const listener of [...(this.listeners.get(id) ?? [])]) listener();
  }
}

/** Whether `told` is older than what is here: an answer may be overtaken by the event stream. */
function isBehind(told: Message, here: Message): boolean {
  // A reply that was cut off lives again when it is answered: what was answered tells the order.
  const answers = (message: Message) =>
    message.consents.reduce((sum, { answers }) => sum + 1 + Object.keys(answers).length, 0);
  if (answers(told) !== answers(here)) return answers(told) < answers(here);
  if (here.state === "interrupted" && isLive(told) && here.consents.length > 0) return false;
  if (!isLive(told)) return false;
  if (!isLive(here)) return true;
  if (told.steps.length < here.steps.length) return true;
  const length = (message: Message) => message.text.length + message.reasoning.length;
  return length(told) < length(here);
}
