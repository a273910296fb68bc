import { useCallback, useEffect, useId, useRef, useState, type ReactNode } from "react";

interface Props {
  label: string;
  icon: ReactNode;
  children: ReactNode;
}

/** A button that opens a short list of further buttons above or below it. */
export function Menu({ label, icon, children }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLSpanElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = useCallback(() => {
    // What has the focus goes with the list.
    if (list.current?.contains(document.activeElement))
      button.current?.focus({ preventScroll: true });
    setOpen(false);
  }, []);
  useEffect(() => {
    if (!open) return;
    const isInside = (event: Event) => root.current?.contains(event.target as Node) === true;
    const onOutside = (event: Event) => {
      if (!isInside(event)) close();
    };
    // Words that come push the button on: the list goes with it, as long as it is seen.
    const onScroll = (event: Event) => {
      if (isInside(event) || !button.current) return;
      if (isSeen(button.current, event.target)) place(button.current, list.current);
      else close();
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      close();
    };
    place(button.current, list.current);
    // Entries come and go while it is open: it must not grow over its button.
    const growing = new ResizeObserver(() => place(button.current, list.current));
    if (list.current) growing.observe(list.current);
    list.current?.querySelector("button")?.focus({ preventScroll: true });
    document.addEventListener("pointerdown", onOutside);
    document.addEventListener("focusin", onOutside);
    document.addEventListener("scroll", onScroll, true);
    document.addEventListener("keydown", onKey, true);
    return () => {
      growing.disconnect();
      document.removeEventListener("pointerdown", onOutside);
      document.removeEventListener("focusin", onOutside);
      document.removeEventListener("scroll", onScroll, true);
      document.removeEventListener("keydown", onKey, true);
    };
  }, [open, close]);
  return (
    <span className="menu" ref={root}>
      <button
        ref={button}
        type="button"
        className="button quiet square"
        aria-label={label}
        title={label}
        aria-expanded={open}
        aria-controls={id}
        onClick={() => (open ? close() : setOpen(true))}
      >
        {icon}
      </button>
      <div
        id={id}
        ref={list}
        className="menu-list"
        hidden={!open}
        onClick={(event) => {
          if ((event.target as Element).closest("button")) close();
        }}
      >
        {open ? children : null}
      </div>
    </span>
  );
}

/** Whether a button is in the view of what scrolled, and of the window. */
function isSeen(button: HTMLElement, scrolled: EventTarget | null): boolean {
  const { top, bottom } = button.getBoundingClientRect();
  if (bottom <= 0 || top >= innerHeight) return false;
  if (!(scrolled instanceof Element) || !scrolled.contains(button)) return true;
  const view = scrolled.getBoundingClientRect();
  return bottom > view.top && top < view.bottom;
}

/** Above the button where there is room, so that it covers nothing that is still to come. */
function place(button: HTMLElement | null, list: HTMLElement | null): void {
  if (!button || !list) return;
  const at = button.getBoundingClientRect();
  const { offsetHeight: height, offsetWidth: width } = list;
  const above = at.top - height - 4;
  list.style.top = `${above > 8 ? above : Math.min(at.bottom + 4, innerHeight - height - 8)}px`;
  list.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
}
