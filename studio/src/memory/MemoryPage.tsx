import { useEffect, useRef, useState } from "react";
import { Link, useSearchParams } from "react-router";

import type { Fact, Facts } from "../api/memory";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { Choice } from "../settings/Choice";
import { Failed } from "../ui/Failed";
import { InfoIcon } from "../ui/icons";
import { Removed } from "../ui/Removed";
import { useComposition } from "../ui/useComposition";
import { ClearPart } from "./ClearPart";
import { FactRow, named } from "./FactRow";
import { useFactActs, useFacts, type FactActs } from "./useFacts";

/** Facts before the rest is asked for. */
const FIRST = 100;
/** Milliseconds without a key before the server is asked. */
const PAUSE = 250;

/** What assistants remember of the person, who sees, changes and deletes it here. */
export function MemoryPage() {
  const text = useText();
  const [query, setQuery] = useSearchParams();
  const words = query.get("q") ?? "";
  const facts = useFacts(words);
  const acts = useFactActs();
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${text.memory.title} · ${text.product}`}</title>
      <div className="column memory">
        <header>
          <h1 tabIndex={-1}>{text.memory.title}</h1>
          <p className="soft">{text.memory.intro}</p>
        </header>
        {facts.isPending ? <p role="status">{text.memory.loading}</p> : null}
        {facts.isError ? (
          <Failed failure={failureFrom(facts.error)} onRetry={() => void facts.refetch()} />
        ) : null}
        {facts.data ? (
          <>
            <Switch facts={facts.data} acts={acts} />
            {facts.data.total > 0 ? (
              <Search
                words={words}
                onWords={(now) => setQuery(now === "" ? {} : { q: now }, { replace: true })}
              />
            ) : null}
            <Listed key={words} facts={facts.data} words={words} acts={acts} />
            <ClearPart total={facts.data.total} acts={acts} />
          </>
        ) : null}
      </div>
    </div>
  );
}

function Switch({ facts, acts }: { facts: Facts; acts: FactActs }) {
  const text = useText();
  const { turn } = acts;
  const [wanted, setWanted] = useState<boolean | null>(null); // until the server's word is here
  const on = wanted ?? facts.on;
  const change = (value: boolean) => {
    setWanted(value);
    turn.mutate(value, { onSettled: () => setWanted(null) });
  };
  return (
    <section>
      <Choice
        label={text.memory.on}
        value={on ? "yes" : "no"}
        options={[
          ["yes", text.memory.yes],
          ["no", text.memory.no],
        ]}
        onValue={(value) => change(value === "yes")}
      />
      <p className="small soft">{text.memory.onWhy}</p>
      <p role="status">
        {on ? null : (
          <span className="ending">
            <InfoIcon size={16} />
            {text.memory.isOff}
          </span>
        )}
      </p>
      {turn.isError ? (
        <Failed failure={failureFrom(turn.error)} onRetry={() => change(turn.variables)} />
      ) : null}
    </section>
  );
}

function Search({ words, onWords }: { words: string; onWords: (words: string) => void }) {
  const text = useText();
  const [typed, setTyped] = useState(words);
  const { inForm } = useComposition();
  const latest = useRef(onWords);
  useEffect(() => {
    latest.current = onWords;
  });
  useEffect(() => {
    if (typed.trim() === words) return;
    const timer = setTimeout(() => latest.current(typed.trim()), PAUSE);
    return () => clearTimeout(timer);
  }, [typed, words]);
  return (
    <input
      type="search"
      className="field"
      aria-label={text.memory.search}
      placeholder={text.memory.search}
      maxLength={400}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
      {...inForm}
    />
  );
}

interface ListedProps {
  facts: Facts;
  words: string;
  acts: FactActs;
}

function Listed({ facts, words, acts }: ListedProps) {
  const text = useText();
  const language = useLanguage();
  const [shown, setShown] = useState(FIRST);
  const [gone, setGone] = useState<Fact | null>(null);
  const list = useRef<HTMLHeadingElement>(null);
  const { remove, restore } = acts;
  const rest = facts.data.length - shown;
  const removeOne = (fact: Fact) => {
    remove.mutate(fact, { onSuccess: () => setGone(fact) });
    list.current?.focus();
  };
  return (
    <section className="stack">
      <h2 ref={list} tabIndex={-1} className="small soft">
        {words === ""
          ? text.memory.count(count(language, facts.total), count(language, facts.most))
          : text.memory.found(count(language, facts.data.length))}
      </h2>
      <Removed
        said={gone === null ? null : text.memory.deleted(named(gone))}
        failure={restore.error ? failureFrom(restore.error) : null}
        onUndo={() => gone && restore.mutate(gone, { onSuccess: () => setGone(null) })}
        onDismiss={() => setGone(null)}
      />
      {remove.isError ? <Failed failure={failureFrom(remove.error)} onRetry={null} /> : null}
      {facts.total === 0 ? <Nothing /> : null}
      {facts.total > 0 && facts.data.length === 0 ? <p>{text.memory.nothingFound}</p> : null}
      <ul className="facts">
        {facts.data.slice(0, shown).map((fact) => (
          <FactRow key={fact.id} fact={fact} acts={acts} onRemove={removeOne} />
        ))}
      </ul>
      {rest > 0 ? (
        <div className="row">
          <button type="button" className="button" onClick={() => setShown(shown + FIRST)}>
            {text.memory.more(count(language, Math.min(rest, FIRST)))}
          </button>
        </div>
      ) : null}
    </section>
  );
}

function Nothing() {
  const text = useText();
  return (
    <div className="stack">
      <p>
        <strong>{text.memory.none}</strong>
      </p>
      <p>{text.memory.noneWhy}</p>
      <p>
        <Link className="button" to="/chat">
          {text.memory.toChat}
        </Link>
      </p>
    </div>
  );
}
