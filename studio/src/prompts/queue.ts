import type { RunBody, RunEvent } from "../api/prompts";
import { failureFrom } from "../api/useModels";
import { heard, QUEUED, type Answer } from "./bench";

/**
 * Answers that are written at once. Browsers hold six connections to a server; the stream of news
 * is one, and the page itself must get through.
 */
export const AT_ONCE = 3;

export type Ask = (body: Partial<RunBody>, signal: AbortSignal) => AsyncGenerator<RunEvent>;

/** One answer that is wanted: in which cell, its place among the repeats, and what is asked. */
export interface Wanted {
  cell: string;
  body: Partial<RunBody>;
}

interface Running extends Wanted {
  place: number;
  abort: AbortController;
  begun: boolean;
}

const NONE: readonly Answer[] = [];

/** The answers of a bench: some are written at once, the others wait. A page listens to cells. */
export class BenchQueue {
  private cells = new Map<string, readonly Answer[]>();
  private queue: Running[] = [];
  private readonly listeners = new Set<() => void>();
  private dirty = new Map<string, Answer[]>();
  private frame: number | null = null;
  private counted = { asking: 0, waiting: 0 };

  constructor(
    private ask: Ask,
    private readonly ended: () => void = () => undefined,
    private readonly nextFrame: (then: () => void) => number = (then) =>
      requestAnimationFrame(then),
    private readonly now: () => number = () => performance.now(),
  ) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** A cell's answers; the same value until they change. */
  cell = (key: string): readonly Answer[] => this.cells.get(key) ?? NONE;

  /** How many are asked, and how many wait; the same value until it changes. */
  counts = (): { asking: number; waiting: number } => this.counted;

  /** How many are before an answer that waits. */
  before = (cell: string, place: number): number =>
    Math.max(
      0,
      this.queue.findIndex((one) => one.cell === cell && one.place === place && !one.begun),
    );

  /** Asks in another way from now on, such as with another key. */
  askBy(ask: Ask): void {
    this.ask = ask;
  }

  /** Every cell with its answers; the same value until one changes. */
  all = (): ReadonlyMap<string, readonly Answer[]> => this.cells;

  /** What was answered before; cells that have something already keep it. */
  fill(found: ReadonlyMap<string, readonly Answer[]>): void {
    const next = new Map(this.cells);
    for (const [key, answers] of found) if (!next.has(key)) next.set(key, answers);
    this.cells = next;
    this.tell();
  }

  /** Asks for answers, behind those that wait; each cell begins anew. */
  run(wanted: readonly Wanted[]): void {
    for (const cell of new Set(wanted.map(({ cell }) => cell))) this.drop(cell);
    const next = new Map(this.cells);
    for (const { cell, body } of wanted) {
      const before = next.get(cell) ?? NONE;
      this.queue.push({
        cell,
        body,
        place: before.length,
        abort: new AbortController(),
        begun: false,
      });
      next.set(cell, [...before, QUEUED]);
    }
    this.cells = next;
    this.begin();
  }

  /** Stops a cell, or all: what waited is not asked, what was said stays. */
  stop(cell: string | null = null): void {
    const own = this.queue.filter((one) => cell === null || one.cell === cell);
    for (const one of own) {
      if (one.begun) one.abort.abort();
      else this.put(one, { ...this.at(one), state: "stopped" });
    }
    this.queue = this.queue.filter((one) => one.begun || !own.includes(one));
    this.flush();
    this.begin();
  }

  /** Forgets every cell but these. */
  keepOnly(cells: ReadonlySet<string>): void {
    for (const cell of [...this.cells.keys()]) if (!cells.has(cell)) this.drop(cell);
    this.begin();
  }

  /** Forgets a cell and stops what it asks. */
  drop(cell: string): void {
    for (const one of this.queue) if (one.cell === cell && one.begun) one.abort.abort();
    this.queue = this.queue.filter((one) => one.cell !== cell);
    const next = new Map(this.cells);
    next.delete(cell);
    this.cells = next;
    this.dirty.delete(cell);
    this.tell();
  }

  private begin(): void {
    while (this.queue.filter(({ begun }) => begun).length < AT_ONCE) {
      const one = this.queue.find(({ begun }) => !begun);
      if (!one) break;
      one.begun = true;
      void this.follow(one);
    }
    this.tell();
  }

  private async follow(one: Running): Promise<void> {
    let answer: Answer = { ...QUEUED, state: "asking", askedAt: this.now() };
    this.put(one, answer);
    try {
      for await (const event of this.ask(one.body, one.abort.signal)) {
        answer = heard(answer, event, this.now());
        this.put(one, answer);
      }
      answer = { ...answer, state: "ended" };
    } catch (error) {
      answer = one.abort.signal.aborted
        ? { ...answer, state: "stopped" }
        : { ...answer, state: "failed", failure: failureFrom(error as Error) };
    }
    this.put(one, answer);
    this.queue = this.queue.filter((other) => other !== one);
    this.flush();
    this.begin();
    if (this.queue.length === 0) this.ended();
  }

  private at({ cell, place }: Running): Answer {
    return (this.dirty.get(cell) ?? this.cell(cell))[place] ?? QUEUED;
  }

  /** Puts an answer where it stands; the page hears of it once per frame. */
  private put(one: Running, answer: Answer): void {
    if (!this.queue.includes(one)) return; // its cell was dropped, or begins anew
    const answers = this.dirty.get(one.cell) ?? [...this.cell(one.cell)];
    answers[one.place] = answer;
    this.dirty.set(one.cell, answers);
    this.frame ??= this.nextFrame(() => this.flush());
  }

  private flush(): void {
    this.frame = null;
    if (this.dirty.size > 0) this.cells = new Map([...this.cells, ...this.dirty]);
    this.dirty = new Map();
    this.tell();
  }

  private tell(): void {
    const asking = this.queue.filter(({ begun }) => begun).length;
    const waiting = this.queue.length - asking;
    if (asking !== this.counted.asking || waiting !== this.counted.waiting)
      this.counted = { asking, waiting };
    for (const listener of this.listeners) listener();
  }
}
