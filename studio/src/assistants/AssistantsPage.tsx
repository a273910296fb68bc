import { useRef, useState, type RefObject } from "react";
import { Link, useSearchParams } from "react-router";

import type { AssistantShown } from "../api/assistants";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { isAbsent } from "../jobs/useJobs";
import { Command } from "../ui/Command";
import { Failed } from "../ui/Failed";
import { PlusIcon } from "../ui/icons";
import { Removed } from "../ui/Removed";
import { useComposition } from "../ui/useComposition";
import { useFindKey } from "../ui/useFindKey";
import { AssistantCard } from "./AssistantCard";
import { inOrder, matches, readFilter, titleOf, writeFilter, type Filter } from "./gallery";
import { useAssistants, useRemove, useRestore } from "./useAssistants";

/** Every assistant: those that come with Kataribe, and one's own. */
export function AssistantsPage() {
  const text = useText();
  const words = text.assistants;
  const query = useAssistants();
  const list = query.data;
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${words.title} · ${text.product}`}</title>
      <div className="column broad">
        <header className="with-act">
          <div>
            <h1>{words.title}</h1>
            <p className="soft">{words.intro}</p>
          </div>
          <Link className="button primary fit" to="/assistants/-new">
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
        {list ? <Gallery assistants={list.data} usual={list.default_model} /> : null}
      </div>
    </div>
  );
}

interface GalleryProps {
  assistants: readonly AssistantShown[];
  /** The model of those that name none. */
  usual: string;
}

function Gallery({ assistants, usual }: GalleryProps) {
  const text = useText();
  const language = useLanguage();
  const words = text.assistants;
  const [address, setAddress] = useSearchParams();
  const search = useRef<HTMLInputElement>(null);
  useFindKey(search);
  const filter = readFilter(address);
  const shown = inOrder(
    assistants.filter((one) => matches(one, filter)),
    language,
  );
  const change = (part: Partial<Filter>) =>
    setAddress(writeFilter(address, part), { replace: true });
  const own = assistants.some((one) => one.own);
  const [deleted, setDeleted] = useState<AssistantShown | null>(null);
  const remove = useRemove(setDeleted);
  const restore = useRestore(() => setDeleted(null));
  return (
    <>
      <Filters
        filter={filter}
        search={search}
        shown={words.shown(count(language, shown.length), count(language, assistants.length))}
        onChange={change}
      />
      <Removed
        said={deleted === null ? null : words.deleted(titleOf(deleted, language))}
        failure={restore.error ? failureFrom(restore.error) : null}
        onUndo={() => deleted && restore.mutate(deleted.name)}
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
        <ul className="gallery">
          {shown.map((one) => (
            <AssistantCard
              key={one.name}
              assistant={one}
              usual={usual}
              onRemove={() => remove.mutate(one)}
            />
          ))}
        </ul>
      ) : filter.show === "own" && !own ? null : (
        <p>{words.nothing}</p>
      )}
      {own || filter.show === "ready" ? null : <Teach />}
    </>
  );
}

/** What is to be made here, while there is none of one's own. */
function Teach() {
  const text = useText();
  const words = text.assistants;
  return (
    <section className="stack teach-own">
      <h2>{words.none}</h2>
      <p>{words.noneWhy}</p>
      <p className="row">
        <Link className="button" to="/assistants/-new?like=translator">
          {words.beginWith}
        </Link>
      </p>
      <p className="small soft">{words.inTerminal}</p>
      <Command command='kataribe assistants new tutor --system "You teach mathematics."' />
    </section>
  );
}

interface FilterProps {
  filter: Filter;
  search: RefObject<HTMLInputElement | null>;
  shown: string;
  onChange: (part: Partial<Filter>) => void;
}

function Filters({ filter, search, shown, onChange }: FilterProps) {
  const text = useText();
  const words = text.assistants;
  const [typed, setTyped] = useState(filter.search);
  const [told, setTold] = useState(filter.search);
  const { inForm } = useComposition();
  if (filter.search !== told) {
    // The address changed, by this field or by going back.
    setTold(filter.search);
    if (filter.search !== typed.trim()) setTyped(filter.search);
  }
  return (
    <search className="filters">
      <div className="filter-row">
        <label className="labelled grow">
          <span>{words.search}</span>
          <input
            ref={search}
            type="search"
            className="field"
            autoComplete="off"
            spellCheck={false}
            value={typed}
            onChange={(event) => {
              setTyped(event.target.value);
              onChange({ search: event.target.value.trim() });
            }}
            {...inForm}
          />
        </label>
        <label className="labelled">
          <span>{words.show}</span>
          <select
            className="field"
            value={filter.show ?? ""}
            onChange={({ target: { value } }) =>
              onChange({ show: value === "own" || value === "ready" ? value : null })
            }
          >
            <option value="">{words.all}</option>
            <option value="own">{words.own}</option>
            <option value="ready">{words.readyOnly}</option>
          </select>
        </label>
      </div>
      <p className="small soft filter-count" role="status">
        {shown}
      </p>
    </search>
  );
}
