import { useEffect, useId, useRef, useState, type ReactNode } from "react";

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
  useEffect(() => {
    if (!open) return;
    const close = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
      button.current?.focus();
    };
    place(button.current, list.current);
    list.current?.querySelector("button")?.focus({ preventScroll: true });
    document.addEventListener("pointerdown", close);
    document.addEventListener("focusin", close);
    document.addEventListener("scroll", close, true);
    document.addEventListener("keydown", onKey, true);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("focusin", close);
      document.removeEventListener("scroll", close, true);
      document.removeEventListener("keydown", onKey, true);
    };
  }, [open]);
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
        onClick={() => setOpen(!open)}
      >
        {icon}
      </button>
      <div
        id={id}
        ref={list}
        className="menu-list"
        hidden={!open}
        onClick={(event) => {
          if ((event.target as Element).closest("button")) setOpen(false);
        }}
      >
        {open ? children : null}
      </div>
    </span>
  );
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
