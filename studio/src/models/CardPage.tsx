import { useParams } from "react-router";

import type { CatalogCard } from "../api/catalog";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { bytes, count } from "../i18n/format";
import { wordFor } from "../jobs/words";
import { isAbsent } from "../jobs/useJobs";
import { CopyButton } from "../ui/CopyButton";
import { BackLink } from "../ui/BackLink";
import { Failed } from "../ui/Failed";
import { WarnIcon } from "../ui/icons";
import { DeletePart } from "./DeletePart";
import { canChat, canWrite, sizeOf, type Entry } from "./entries";
import { FetchPart } from "./FetchPart";
import { FitPart } from "./FitPart";
import { MemoryPart } from "./MemoryPart";
import { ChatButton } from "./ModelTable";
import { Samples } from "./Samples";
import { TryBox } from "./TryBox";
import { useCard, useEntries } from "./useCatalog";
import { languageNames, noteOf, parametersOf, purposeOf } from "./words";

/** One model: what it is, what it needs, how to get, try, call and delete it. */
export function CardPage() {
  const text = useText();
  const name = useParams()["*"] ?? "";
  const list = useEntries();
  const card = useCard(name);
  const listed = list.entries?.find((entry) => entry.name === name);
  const entry = entryOf(card.data, listed);
  const missing = isAbsent(card.error) && list.entries !== null && !listed;
  const error = isAbsent(card.error) ? list.error : card.error;
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${name} · ${text.product}`}</title>
      <div className="column card">
        <header>
          <BackLink to="/models" words={text.models.card.back} />
          {missing ? (
            <h1>{text.models.card.missing}</h1>
          ) : (
            <h1 translate="no">{entry?.card?.title ?? name}</h1>
          )}
          {entry?.card ? <Purpose entry={entry} /> : null}
        </header>
        {missing ? <p>{text.models.card.missingWhy}</p> : null}
        {error ? <Failed failure={failureFrom(error)} onRetry={() => void card.refetch()} /> : null}
        {!entry && !missing && !error ? <p role="status">{text.models.loading}</p> : null}
        {entry ? <Parts entry={entry} card={card.data ?? null} /> : null}
      </div>
    </div>
  );
}

/** The card knows most; what is in memory is known best by the list. */
function entryOf(card: CatalogCard | undefined, listed: Entry | undefined): Entry | undefined {
  if (!card) return listed;
  const { model } = card;
  return {
    name: model.name,
    card: model,
    here: model.installed,
    loaded: listed?.loaded ?? model.loaded,
    context: model.context_length ?? listed?.context ?? null,
    use: listed?.use ?? "write",
  };
}

function Purpose({ entry }: { entry: Entry }) {
  const text = useText();
  const language = useLanguage();
  return entry.card ? <p className="soft">{purposeOf(text, language, entry.card)}</p> : null;
}

function Parts({ entry, card }: { entry: Entry; card: CatalogCard | null }) {
  return (
    <>
      {entry.card?.problem ? (
        <div className="notice bad" role="status">
          <WarnIcon size={18} />
          <Problem words={entry.card.problem} />
        </div>
      ) : null}
      {card ? <FitPart card={card} /> : null}
      {entry.here ? <MemoryPart name={entry.name} /> : null}
      {card ? <FetchPart model={card.model} /> : null}
      <Facts entry={entry} />
      {entry.here && canWrite(entry) && !entry.card?.problem ? (
        <TryBox
          key={entry.name}
          name={entry.name}
          chats={entry.card?.chats !== false}
          languages={entry.card?.languages ?? []}
          context={entry.context}
        />
      ) : null}
      {card && card.samples.length > 0 ? <Samples samples={card.samples} /> : null}
      {card?.model.installed ? <DeletePart card={card} /> : null}
    </>
  );
}

function Problem({ words }: { words: string }) {
  const text = useText();
  return (
    <div className="stack">
      <strong>{text.models.broken}</strong>
      <p className="said" lang="en" dir="auto">
        {words}
      </p>
    </div>
  );
}

function Facts({ entry }: { entry: Entry }) {
  const text = useText();
  const language = useLanguage();
  const words = text.models.card;
  const { card } = entry;
  const size = sizeOf(entry);
  const note = noteOf(language, card);
  const plain = (value: string | null | undefined) =>
    value ? <span translate="no">{value}</span> : null;
  const facts: [string, React.ReactNode][] = [
    [words.called, <NameToCopy key="name" name={entry.name} />],
    [text.models.filters.task, card ? wordFor(text.models.tasks, card.task) : null],
    [words.languages, card ? languageNames(text, language, card.languages) : null],
    [text.models.licence, plain(card?.licence)],
    [words.family, plain(card?.family)],
    [words.parameters, card?.parameters ? parametersOf(language, card.parameters) : null],
    [
      text.models.context,
      entry.context === null ? null : text.models.tokens(count(language, entry.context)),
    ],
    [text.models.size, size === null ? null : bytes(language, size)],
    [words.source, plain(card?.source)],
    [words.note, note ? <span lang={note.lang}>{note.words}</span> : null],
  ];
  return (
    <section>
      <h2>{words.facts}</h2>
      <dl className="facts">
        {facts
          .filter(([, value]) => value !== null && value !== "")
          .map(([label, value]) => (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
      {canChat(entry) ? <ChatButton name={entry.name} /> : null}
    </section>
  );
}

function NameToCopy({ name }: { name: string }) {
  const text = useText();
  return (
    <span className="row">
      <code translate="no">{name}</code>
      <CopyButton text={name} label={text.models.card.copyName} />
    </span>
  );
}
