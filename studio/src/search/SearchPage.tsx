import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { use } from "react";
import { Link, useSearchParams } from "react-router";

import { search, type Hit } from "../api/search";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { plainLine } from "../prose/tame";
import { Signs } from "../prose/Signs";
import { SettingsContext } from "../settings/context";
import { ListButton } from "../sidebar/ListButton";
import { Failed } from "../ui/Failed";
import { marked } from "./marked";
import { SearchField } from "./SearchField";

/** Everything that was said, by its words. The address holds them: `/search?q=`. */
export function SearchPage() {
  const text = useText();
  const [query, setQuery] = useSearchParams();
  const words = query.get("q") ?? "";
  return (
    <div className="page search" tabIndex={-1}>
      <title>{`${words === "" ? "" : `${words} · `}${text.search.title} · ${text.product}`}</title>
      <div className="column">
        <header className="titled">
          <ListButton />
          <h1>{text.search.title}</h1>
        </header>
        <SearchField
          words={words}
          // In place of the last one: Back leaves the search and does not spell it backwards.
          onWords={(q) => setQuery(q === "" ? {} : { q }, { replace: true })}
        />
        {words.trim() === "" ? (
          <p className="soft">{text.search.teach}</p>
        ) : (
          <Found words={words} />
        )}
      </div>
    </div>
  );
}

function Found({ words }: { words: string }) {
  const text = useText();
  const language = useLanguage();
  const { key } = use(SettingsContext).settings;
  const query = useInfiniteQuery({
    queryKey: ["search", key, words],
    queryFn: ({ pageParam, signal }) => search({ key }, words, pageParam, signal),
    initialPageParam: null as number | null,
    getNextPageParam: ({ data, more }) => (more ? (data.at(-1)?.key ?? null) : null),
    placeholderData: keepPreviousData,
  });
  const hits = query.data?.pages.flatMap((page) => page.data) ?? [];
  const many = count(language, hits.length);
  let said = query.hasNextPage ? text.search.foundMore(many) : text.search.found(many);
  if (query.isPending || query.isPlaceholderData) said = text.search.loading;
  else if (hits.length === 0) said = text.search.none(plainLine(words));
  return (
    <>
      {query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : (
        <p className="soft small" role="status">
          {said}
        </p>
      )}
      <ul className="hits" aria-busy={query.isFetching}>
        {hits.map((hit) => (
          <HitRow key={hit.key} hit={hit} />
        ))}
      </ul>
      {query.hasNextPage && !query.isPlaceholderData ? (
        <button
          type="button"
          className="button fit"
          aria-disabled={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          {text.search.more}
        </button>
      ) : null}
    </>
  );
}

function HitRow({ hit }: { hit: Hit }) {
  const text = useText();
  const language = useLanguage();
  const to = `/chat/${hit.conversation}${hit.message === null ? "" : `#${hit.message}`}`;
  const who = hit.role === "user" ? text.search.you : text.search.reply;
  const where = {
    message: who,
    thought: text.chat.reasoning,
    title: text.search.inTitle,
    system: text.search.inSystem,
    folder: text.search.inFolder,
    file: text.search.inFile,
    remark: text.search.inRemark,
  };
  const when = new Date(hit.created_at * 1000);
  return (
    <li>
      <Link to={to} state={{ thought: hit.kind === "thought" }}>
        <bdi className="title">{plainLine(hit.title) || text.sidebar.untitled}</bdi>
        <span className="soft small">
          {where[hit.kind]}
          {" · "}
          <time dateTime={when.toISOString()}>
            {when.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" })}
          </time>
        </span>
        <bdi className="snippet">
          {marked(hit.snippet, hit.marks).map((piece, index) =>
            piece.found ? (
              <mark key={index}>{piece.text}</mark>
            ) : (
              <Signs key={index} text={piece.text} />
            ),
          )}
        </bdi>
      </Link>
    </li>
  );
}
