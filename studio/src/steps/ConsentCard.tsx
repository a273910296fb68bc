import { useId, useState } from "react";

import { usePlace } from "../chat/place";
import { useTalk } from "../conversation/context";
import type { Message } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { InfoIcon } from "../ui/icons";
import { useComposition } from "../ui/useComposition";
import { useGoOn } from "../ui/useGoOn";
import { Arguments } from "./Arguments";
import { canResume, unanswered, waitingOf, type Call } from "./arrange";

/** Characters of the words beside an answer: the server's own limit. */
const MOST_WORDS = 2000;

/** What a reply asks its person for: one card for each call that waits. */
export function ConsentCards({ reply, name }: { reply: Message; name: string }) {
  const text = useText();
  const waiting = waitingOf(reply);
  const cut = reply.state === "interrupted";
  if (waiting.length === 0) {
    if (unanswered(reply).length > 0)
      return (
        <p className="ending">
          <InfoIcon size={16} />
          {text.consent.unanswered}
        </p>
      );
    return canResume(reply) ? <Resume reply={reply} /> : null;
  }
  const until = reply.consents.at(-1)?.until ?? 0;
  return (
    <>
      {waiting.map((call) => (
        <Card key={call.id} reply={reply} call={call} name={name} />
      ))}
      {cut ? <p className="small soft">{text.consent.cutOff}</p> : <Until seconds={until} />}
    </>
  );
}

function Until({ seconds }: { seconds: number }) {
  const text = useText();
  const language = useLanguage();
  const when = new Date(seconds * 1000).toLocaleTimeString(language, { timeStyle: "short" });
  return <p className="small soft">{text.consent.until(when)}</p>;
}

interface CardProps {
  reply: Message;
  call: Call;
  /** Who wants it: the model's name, or what stands for it while that is a secret. */
  name: string;
}

function Card({ reply, call, name }: CardProps) {
  const text = useText();
  const { acts } = useTalk();
  const { conversation, toField } = usePlace();
  const [words, setWords] = useState("");
  const [busy, setBusy] = useState(false);
  const { inForm } = useComposition();
  const title = useId();
  const why = useId();
  // To the next card, or else to the field, when an answer has taken this one away.
  const card = useGoOn((gone) => {
    const article = gone.closest("article");
    return () => {
      const next = article?.querySelector<HTMLElement>(".consent button");
      if (!next) toField();
      return next;
    };
  });
  const answer = (approved: boolean, always = false) => {
    if (busy) return;
    setBusy(true);
    const given = { call: call.id, approved, why: approved ? "" : words.trim() };
    void acts.consent(conversation, reply.id, [given], always).finally(() => setBusy(false));
  };
  return (
    <section ref={card} className="consent" aria-labelledby={title}>
      <h3 id={title}>{text.consent.title(call.name)}</h3>
      <p className="small soft">{text.consent.wants(name)}</p>
      <Arguments written={call.arguments} />
      <label className="stack">
        <span className="small">{text.consent.words}</span>
        <input
          className="field"
          value={words}
          maxLength={MOST_WORDS}
          autoComplete="off"
          aria-describedby={why}
          onChange={(event) => setWords(event.target.value)}
          {...inForm}
        />
        <span id={why} className="small soft">
          {text.consent.wordsWhy}
        </span>
      </label>
      <div className="row">
        <button
          type="button"
          className="button primary"
          aria-disabled={busy}
          aria-label={text.consent.onceOf(call.name)}
          onClick={() => answer(true)}
        >
          {text.consent.once}
        </button>
        <button
          type="button"
          className="button"
          aria-disabled={busy}
          aria-label={text.consent.alwaysOf(call.name)}
          onClick={() => answer(true, true)}
        >
          {text.consent.always}
        </button>
        <button
          type="button"
          className="button"
          aria-disabled={busy}
          aria-label={text.consent.refuseOf(call.name)}
          onClick={() => answer(false)}
        >
          {text.consent.refuse}
        </button>
      </div>
    </section>
  );
}

/** The server ended after the answer: what was done is kept, and it can go on. */
function Resume({ reply }: { reply: Message }) {
  const text = useText();
  const { acts } = useTalk();
  const { conversation } = usePlace();
  return (
    <div className="stack">
      <p className="small soft">{text.consent.goOnWhy}</p>
      <div className="row">
        <button
          type="button"
          className="button"
          onClick={() => void acts.consent(conversation, reply.id, [], false)}
        >
          {text.consent.goOn}
        </button>
      </div>
    </div>
  );
}
