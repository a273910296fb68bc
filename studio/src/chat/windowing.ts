import { whenIdle } from "../ui/idle";

/** A row of a long list; `height` in pixels is a guess, until the row was drawn once. */
export interface Row {
  key: string;
  height: number;
}

/** What is drawn: rows `from` up to before `to`, with room in pixels before and after them. */
export interface Drawn {
  from: number;
  to: number;
  before: number;
  after: number;
  /** Whether the reader is at the end, and so follows what comes. */
  atEnd: boolean;
}

/** Pixels from the end that still count as being there. */
const NEAR = 32;
/** Pixels drawn beyond what is seen, and how near to its edge the next ones are drawn. */
const AHEAD = 1200;
const EDGE = 500;
/** The same for what is drawn first: little, so that it is seen soon. */
const AT_FIRST = 100;

/**
 * Draws only the rows of a long list that are near what is seen.
 *
 * Rows are in the normal flow, between two spaces. What the reader looks at stays where it is: the
 * first row that is seen is held in place whenever a guess above it turns out wrong; at the end,
 * the end is held instead. Only a scroll upwards lets go of the end, growth alone does not.
 */
export class Windowing {
  private rows: readonly Row[] = [];
  private offsets = new Float64Array(1);
  private readonly heights = new Map<string, number>();
  private readonly elements = new Map<string, HTMLElement>();
  private readonly listeners = new Set<() => void>();
  private box: HTMLElement | null = null;
  private observer: ResizeObserver | null = null;
  private stuck = true;
  private lastTop = 0;
  private anchor: { key: string; top: number } | null = null;
  /** A row that was asked for, held until the reader moves. */
  private pinned: string | null = null;
  private ahead = AT_FIRST;
  private cancelWider: (() => void) | null = null;
  private drawn: Drawn = { from: 0, to: 0, before: 0, after: 0, atEnd: true };

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): Drawn => this.drawn;

  /** The box that scrolls; gives what takes it back. */
  readonly attach = (box: HTMLElement): (() => void) => {
    this.box = box;
    this.observer = new ResizeObserver(() => this.settle());
    this.observer.observe(box);
    for (const element of this.elements.values()) this.observer.observe(element);
    const onScroll = () => this.scrolled();
    const onMove = () => {
      this.pinned = null;
    };
    box.addEventListener("scroll", onScroll, { passive: true });
    for (const name of ["wheel", "touchmove", "pointerdown", "keydown"])
      box.addEventListener(name, onMove, { passive: true });
    this.settle();
    return () => {
      box.removeEventListener("scroll", onScroll);
      for (const name of ["wheel", "touchmove", "pointerdown", "keydown"])
        box.removeEventListener(name, onMove);
      this.observer?.disconnect();
      this.observer = null;
      this.cancelWider?.();
      this.cancelWider = null;
      this.box = null;
    };
  };

  /** Keeps the element of a drawn row. */
  readonly hold = (element: HTMLElement): (() => void) => {
    const key = element.dataset["row"] ?? "";
    this.elements.set(key, element);
    this.observer?.observe(element);
    return () => {
      this.observer?.unobserve(element);
      if (this.elements.get(key) === element) this.elements.delete(key);
    };
  };

  setRows(rows: readonly Row[]): void {
    this.rows = rows;
    this.settle();
  }

  /** Goes to the end and stays there. */
  readonly toEnd = (): void => {
    this.pinned = null;
    this.stuck = true;
    if (this.box) this.box.scrollTop = this.box.scrollHeight;
    this.settle();
  };

  /** Goes to a row and holds it near the top, until the reader moves; false when there is none. */
  toRow(key: string): boolean {
    if (!this.box || !this.rows.some((row) => row.key === key)) return false;
    this.stuck = false;
    this.anchor = null;
    this.pinned = key;
    this.settle(); // draws it; then it is held
    return true;
  }

  /** Measures what is drawn, holds what is seen in its place, and draws what is needed. */
  settle(): void {
    const { box } = this;
    if (!box) return;
    this.measure();
    if (this.stuck) {
      const end = box.scrollHeight - box.clientHeight;
      if (Math.abs(box.scrollTop - end) > 0.5) box.scrollTop = end;
    } else this.holdInPlace(box);
    this.lastTop = box.scrollTop;
    this.draw(box);
    this.keepAnchor(box);
  }

  private holdInPlace(box: HTMLElement): void {
    const held = this.pinned === null ? this.anchor : { key: this.pinned, top: NEAR };
    const element = held && this.elements.get(held.key);
    if (!held || !element) return;
    const moved = topIn(box, element) - held.top;
    if (Math.abs(moved) >= 1) box.scrollTop += moved;
  }

  private scrolled(): void {
    const { box } = this;
    if (!box) return;
    const near = box.scrollHeight - box.clientHeight - box.scrollTop <= NEAR;
    if (near && this.pinned === null) this.stuck = true;
    else if (box.scrollTop < this.lastTop - 0.5) this.stuck = false;
    this.lastTop = box.scrollTop;
    this.keepAnchor(box);
    this.draw(box);
  }

  /** Remembers where the first row that is seen stands. */
  private keepAnchor(box: HTMLElement): void {
    this.anchor = null;
    for (let at = this.drawn.from; at < this.drawn.to; at += 1) {
      const key = this.rows[at]?.key;
      const element = key === undefined ? undefined : this.elements.get(key);
      if (key === undefined || !element) continue;
      const top = topIn(box, element);
      if (top + element.offsetHeight <= 0) continue;
      if (top < box.clientHeight) this.anchor = { key, top };
      return;
    }
  }

  private measure(): void {
    for (const [key, element] of this.elements)
      if (element.isConnected) this.heights.set(key, element.offsetHeight);
    const offsets = new Float64Array(this.rows.length + 1);
    this.rows.forEach(({ key, height }, at) => {
      offsets[at + 1] = (offsets[at] ?? 0) + (this.heights.get(key) ?? height);
    });
    this.offsets = offsets;
  }

  private draw(box: HTMLElement): void {
    const count = this.rows.length;
    const total = this.offsets[count] ?? 0;
    const atEnd = this.stuck;
    const top = this.stuck ? Math.max(0, total - box.clientHeight) : this.goal(box);
    const bottom = top + box.clientHeight;
    let { from, to } = this.drawn;
    const offset = (at: number) => this.offsets[Math.min(Math.max(at, 0), count)] ?? 0;
    const tooFew =
      from >= to ||
      to > count ||
      (from > 0 && offset(from) > top - EDGE) ||
      (to < count && offset(to) < bottom + EDGE);
    const tooMany = offset(to) - offset(from) > box.clientHeight + 6 * AHEAD;
    if (tooFew || tooMany) {
      from = this.rowAt(top - this.ahead);
      to = Math.min(count, this.rowAt(bottom + this.ahead) + 1);
    }
    const next = { from, to, before: offset(from), after: total - offset(to), atEnd };
    const now = this.drawn;
    if (
      now.from === from &&
      now.to === to &&
      now.before === next.before &&
      now.after === next.after &&
      now.atEnd === atEnd
    )
      return;
    this.drawn = next;
    if (this.ahead < AHEAD && to > from) this.widenSoon();
    for (const listener of [...this.listeners]) listener();
  }

  /** Draws what is beyond, when what is seen has been painted. */
  private widenSoon(): void {
    this.cancelWider ??= whenIdle(() => {
      this.ahead = AHEAD;
      this.settle();
    });
  }

  /** What is to be seen at the top: a row that was asked for and is not drawn yet, or what is. */
  private goal(box: HTMLElement): number {
    const { pinned } = this;
    if (pinned === null || this.elements.has(pinned)) return box.scrollTop;
    const at = this.rows.findIndex((row) => row.key === pinned);
    return at < 0 ? box.scrollTop : Math.max(0, (this.offsets[at] ?? 0) - NEAR);
  }

  /** The row at so many pixels from the top. */
  private rowAt(place: number): number {
    let low = 0;
    let high = Math.max(0, this.rows.length - 1);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.offsets[middle] ?? 0) <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function topIn(box: HTMLElement, element: HTMLElement): number {
  return element.getBoundingClientRect().top - box.getBoundingClientRect().top;
}
