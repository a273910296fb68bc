import { useEffect, useId, useRef, useState, type KeyboardEvent } from "react";

import type { Inside } from "../api/inside";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import "../styles/inside.css";
import { Failed } from "../ui/Failed";
import { CloseIcon } from "../ui/icons";
import { AttentionView } from "./AttentionView";
import { GivenView } from "./GivenView";
import { TokensView } from "./TokensView";
import { useInside } from "./useInside";

export interface InsideProps {
  conversation: string;
  message: string;
  onClose: () => void;
  /** Another reply to the same question, which goes on from these words. */
  onContinue: (beginning: string) => void;
}

const VIEWS = ["tokens", "given", "attention"] as const;
type View = (typeof VIEWS)[number];

/** A reply from inside: its tokens, what the model was given, where it looks. */
export function InsidePanel({ conversation, message, onClose, onContinue }: InsideProps) {
  const text = useText();
  const words = text.inside;
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const [view, setView] = useState<View>("tokens");
  const [position, setPosition] = useState(0);
  const reply = { conversation, message };
  const { query, inside } = useInside(reply);
  useEffect(() => {
    const shown = dialog.current;
    if (!shown?.open) shown?.showModal();
    return () => shown?.close();
  }, []);
  // First, because while it is open nothing outside of it can take the focus.
  const leaving = <A extends unknown[]>(then: (...rest: A) => void) => {
    return (...rest: A) => {
      dialog.current?.close();
      then(...rest);
    };
  };
  const leave = leaving(onClose);
  return (
    <dialog
      ref={dialog}
      className="inside"
      aria-labelledby={`${id}-title`}
      onCancel={(event) => {
        event.preventDefault();
        leave();
      }}
      onKeyDown={(event) => event.stopPropagation()} // the page's own keys rest meanwhile
      onClick={(event) => {
        if (event.target === dialog.current) leave();
      }}
    >
      <div className="inside-body">
        <header>
          <div>
            <h2 id={`${id}-title`}>{words.title}</h2>
            <p className="small soft">{inside ? words.by(inside.model) : null}</p>
          </div>
          <button
            type="button"
            className="button quiet square"
            aria-label={words.close}
            onClick={() => leave()}
          >
            <CloseIcon size={16} />
          </button>
        </header>
        <Tabs id={id} view={view} onView={setView} />
        <div
          className="inside-view"
          role="tabpanel"
          id={`${id}-panel`}
          aria-labelledby={`${id}-${view}`}
          tabIndex={0}
        >
          {query.isError ? (
            <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
          ) : null}
          {query.isPending ? <p role="status">{words.reading}</p> : null}
          {inside ? (
            <Shown
              {...{ view, inside, reply, position }}
              onContinue={leaving(onContinue)}
              onPosition={setPosition}
              onMore={query.hasNextPage ? () => void query.fetchNextPage() : null}
            />
          ) : null}
        </div>
      </div>
    </dialog>
  );
}

interface ShownProps {
  view: View;
  inside: Inside;
  reply: { conversation: string; message: string };
  position: number;
  onPosition: (position: number) => void;
  onMore: (() => void) | null;
  onContinue: (beginning: string) => void;
}

function Shown({ view, inside, reply, ...rest }: ShownProps) {
  const { position, onPosition, onMore, onContinue } = rest;
  if (view === "given") return <GivenView inside={inside} />;
  if (view === "attention") return <AttentionView {...{ inside, reply, position, onPosition }} />;
  return <TokensView {...{ inside, reply, position, onPosition, onMore, onContinue }} />;
}

function Tabs({ id, view, onView }: { id: string; view: View; onView: (view: View) => void }) {
  const text = useText();
  const words = text.inside;
  const names = { tokens: words.tokens, given: words.given, attention: words.attention };
  const row = useRef<HTMLDivElement>(null);
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: VIEWS.length - 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = (VIEWS.indexOf(view) + step) % VIEWS.length;
    onView(VIEWS[next] ?? view);
    row.current?.querySelectorAll<HTMLElement>("[role=tab]")[next]?.focus();
  };
  return (
    <div className="views" role="tablist" aria-label={words.views} ref={row} onKeyDown={onKey}>
      {VIEWS.map((one) => (
        <button
          key={one}
          type="button"
          role="tab"
          id={`${id}-${one}`}
          aria-selected={one === view}
          aria-controls={`${id}-panel`}
          tabIndex={one === view ? 0 : -1}
          onClick={() => onView(one)}
        >
          {names[one]}
        </button>
      ))}
    </div>
  );
}
