import { useId, useRef, type ReactNode } from "react";

export interface Tab<T extends string> {
  id: T;
  words: ReactNode;
  panel: ReactNode;
}

interface Props<T extends string> {
  label: string;
  tabs: readonly Tab<T>[];
  chosen: T;
  onChosen: (id: T) => void;
}

/** Panels of which one is seen; the arrow keys change it. What is hidden keeps what it holds. */
export function Tabs<T extends string>({ label, tabs, chosen, onChosen }: Props<T>) {
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const at = tabs.findIndex((tab) => tab.id === chosen);
  const move = (to: number) => {
    const index = (to + tabs.length) % tabs.length;
    const next = tabs[index];
    if (!next) return;
    onChosen(next.id);
    list.current?.querySelectorAll("button")[index]?.focus();
  };
  const moves: Record<string, number> = {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    Home: 0,
    End: tabs.length - 1,
  };
  return (
    <>
      <div
        ref={list}
        role="tablist"
        aria-label={label}
        className="tabs"
        onKeyDown={(event) => {
          const to = moves[event.key];
          if (to === undefined) return;
          event.preventDefault();
          move(to);
        }}
      >
        {tabs.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            id={`${id}-${tab.id}`}
            aria-selected={tab.id === chosen}
            aria-controls={`${id}-${tab.id}-panel`}
            tabIndex={tab.id === chosen ? 0 : -1}
            onClick={() => onChosen(tab.id)}
          >
            {tab.words}
          </button>
        ))}
      </div>
      {tabs.map((tab) => (
        <div
          key={tab.id}
          role="tabpanel"
          id={`${id}-${tab.id}-panel`}
          aria-labelledby={`${id}-${tab.id}`}
          hidden={tab.id !== chosen}
        >
          {tab.panel}
        </div>
      ))}
    </>
  );
}
