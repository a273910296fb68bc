import { useEffect, useId, useRef, useState } from "react";

import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { Failed } from "../ui/Failed";
import { useComposition } from "../ui/useComposition";
import type { FactActs } from "./useFacts";

/** Deletes all that is remembered, for good: so it asks for the words that say so. */
export function ClearPart({ total, acts }: { total: number; acts: FactActs }) {
  const text = useText();
  const language = useLanguage();
  const [asking, setAsking] = useState(false);
  const { clear } = acts;
  return (
    <section className="stack">
      {total > 0 ? (
        <div className="row">
          <button type="button" className="button danger" onClick={() => setAsking(true)}>
            {text.memory.clear}
          </button>
        </div>
      ) : null}
      <p role="status" className="small soft">
        {clear.isSuccess && total === 0 ? text.memory.cleared(count(language, clear.data)) : ""}
      </p>
      {clear.isError ? (
        <Failed failure={failureFrom(clear.error)} onRetry={() => clear.mutate(undefined)} />
      ) : null}
      {asking ? (
        <Ask
          total={total}
          onClose={() => setAsking(false)}
          onClear={() => clear.mutate(undefined)}
        />
      ) : null}
    </section>
  );
}

interface AskProps {
  total: number;
  onClose: () => void;
  onClear: () => void;
}

function Ask({ total, onClose, onClear }: AskProps) {
  const text = useText();
  const language = useLanguage();
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState("");
  const { inForm } = useComposition();
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  const same = typed.trim().toLowerCase() === text.memory.clearName.toLowerCase();
  return (
    <dialog ref={dialog} className="ask" aria-labelledby={id} onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (!same) return;
          dialog.current?.close();
          onClear();
        }}
      >
        <h2 id={id}>{text.memory.clearAsk(count(language, total))}</h2>
        <p>
          {text.memory.clearFinal} <strong>{text.memory.clearName}</strong>
        </p>
        <input
          className="field"
          aria-label={text.memory.clearField}
          value={typed}
          autoComplete="off"
          onChange={(event) => setTyped(event.target.value)}
          {...inForm}
        />
        <div className="row">
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            {text.memory.clearKeep}
          </button>
          <button type="submit" className="button danger" aria-disabled={!same}>
            {text.memory.clearDo}
          </button>
        </div>
      </form>
    </dialog>
  );
}
