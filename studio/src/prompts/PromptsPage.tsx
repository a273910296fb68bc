import { useRef, useState } from "react";
import { Link, useSearchParams } from "react-router";

import type { PromptSummary } from "../api/prompts";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { isAbsent } from "../jobs/useJobs";
import { moment } from "../people/time";
import { Command } from "../ui/Command";
import { Failed } from "../ui/Failed";
import { PlusIcon } from "../ui/icons";
import { Removed } from "../ui/Removed";
import { useComposition } from "../ui/useComposition";
import { useFindKey } from "../ui/useFindKey";
import { usePrompts, useRemove, useRestore } from "./usePrompts";

/** The prompts that a person keeps. */
export function PromptsPage() {
  const text = useText();
  const words = text.prompts;
  const query = usePrompts();
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${words.title} · ${text.product}`}</title>
      <div className="column broad prompts">
        <header className="with-act">
          <div>
            <h1>{words.title}</h1>
            <p className="soft">{words.intro}</p>
          </div>
          <Link className="button primary fit" to="/prompts/-new">
            <PlusIcon size={16} />
            {words.fresh}
          </Link>
        </header>
        {query.isPending ? <p role="status">{words.loading}</p> : null}
        {isAbsent(query.error) ? (
          <p>{words.unavailable}</p>
        ) : query.isError ? (
          <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
        ) : null}
        {query.data ? <List prompts={query.data} /> : null}
      </div>
    </div>
  );
}

function matches(one: PromptSummary, search: string): boolean {
  const plain = (said: string) => said.normalize("NFKC").toLowerCase();
  const all = plain([one.name, one.text, one.note].join(" "));
  return plain(search)
    .split(/\s+/)
    .every((word) => all.includes(word));
}

function List({ prompts }: { prompts: readonly PromptSummary[] }) {
  const text = useText();
  const words = text.prompts;
  const language = useLanguage();
  const [address, setAddress] = useSearchParams();
  const search = address.get("q") ?? "";
  const shown = prompts.filter((one) => matches(one, search.trim()));
  const [deleted, setDeleted] = useState<PromptSummary | null>(null);
  const remove = useRemove(setDeleted);
  const restore = useRestore(() => setDeleted(null));
  return (
    <>
      {prompts.length > 0 ? (
        <Search
          search={search}
          shown={words.shown(count(language, shown.length), count(language, prompts.length))}
          onSearch={(q) => setAddress(q === "" ? {} : { q }, { replace: true })}
        />
      ) : null}
      <Removed
        said={deleted === null ? null : words.deleted(deleted.name)}
        failure={restore.error ? failureFrom(restore.error) : null}
        onUndo={() => deleted && restore.mutate(deleted.id)}
        onDismiss={() => setDeleted(null)}
      />
      {remove.error ? (
        <Failed failure={failureFrom(remove.error)} onRetry={null}>
          <button type="button" className="button" onClick={() => remove.reset()}>
            {text.notice.dismiss}
          </button>
        </Failed>
      ) : null}
      {shown.length > 0 ? (
        <ul className="prompt-list">
          {shown.map((one) => (
            <Item key={one.id} one={one} onRemove={() => remove.mutate(one)} />
          ))}
        </ul>
      ) : prompts.length > 0 ? (
        <p>{words.nothing}</p>
      ) : null}
      {prompts.length === 0 ? <Teach /> : null}
    </>
  );
}

function Item({ one, onRemove }: { one: PromptSummary; onRemove: () => void }) {
  const text = useText();
  const words = text.prompts;
  const language = useLanguage();
  return (
    <li className="prompt">
      <h2>
        <Link to={`/prompts/${encodeURIComponent(one.name)}`} translate="no">
          {one.name}
        </Link>
      </h2>
      <p className="small soft numbers">
        {words.version(count(language, one.latest))} · {moment(language, one.changed_at)}
        {one.note === "" ? null : (
          <>
            {" · "}
            <span className="sample" lang="" dir="auto">
              {one.note}
            </span>
          </>
        )}
      </p>
      <p className="begins sample" lang="" dir="auto">
        {one.text.slice(0, 300)}
      </p>
      <button
        type="button"
        className="button quiet fit"
        aria-label={words.removeName(one.name)}
        onClick={onRemove}
      >
        {words.remove}
      </button>
    </li>
  );
}

/** What is to be made here, while there is nothing. */
function Teach() {
  const words = useText().prompts;
  return (
    <section className="stack">
      <h2>{words.none}</h2>
      <p>{words.noneWhy}</p>
      <p className="row">
        <Link className="button" to="/prompts/-new?like=example">
          {words.begin}
        </Link>
      </p>
      <p className="small soft">{words.inTerminal}</p>
      <Command command='kataribe prompts new explain --text "Explain {{thing}} to {{reader}}."' />
    </section>
  );
}

interface SearchProps {
  search: string;
  shown: string;
  onSearch: (search: string) => void;
}

function Search({ search, shown, onSearch }: SearchProps) {
  const words = useText().prompts;
  const field = useRef<HTMLInputElement>(null);
  useFindKey(field);
  const { inForm } = useComposition();
  return (
    <search className="filters">
      <label className="labelled grow">
        <span>{words.search}</span>
        <input
          ref={field}
          type="search"
          className="field"
          autoComplete="off"
          spellCheck={false}
          value={search}
          onChange={(event) => onSearch(event.target.value)}
          {...inForm}
        />
      </label>
      <p className="small soft" role="status">
        {shown}
      </p>
    </search>
  );
}
