import { useEffect, useRef, type KeyboardEvent, type ReactNode } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";

import type { Filter } from "../api/list";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { PlusIcon, SearchIcon } from "../ui/icons";
import { hasModifier, isTyping } from "../ui/keys";
import { FilterBar } from "./FilterBar";
import { Row } from "./Row";
import { Undo } from "./Undo";
import type { Acts } from "./useActs";
import { useList } from "./useList";

/** What the address says is listed: `?folder=NAME`, `?list=deleted`. */
export function useFilter(): [Filter, string] {
  const [query] = useSearchParams();
  const folder = query.get("folder");
  const deleted = query.get("list") === "deleted";
  const kept = new URLSearchParams();
  if (deleted) kept.set("list", "deleted");
  else if (folder !== null) kept.set("folder", folder);
  const filter = deleted ? { deleted } : folder === null ? {} : { folder };
  return [filter, kept.size > 0 ? `?${kept.toString()}` : ""];
}

/** The conversations: found, opened, named, sorted into folders, deleted and brought back. */
export function Sidebar({ acts, close }: { acts: Acts; close?: ReactNode }) {
  const text = useText();
  const navigate = useNavigate();
  const [filter, query] = useFilter();
  const list = useList(filter);
  const pages = list.data?.pages ?? [];
  const conversations = pages.flatMap((page) => page.data);
  const folders = pages[0]?.folders ?? [];
  // The whole list asks anew only where the whole of it failed.
  const again = () => void (list.isFetchNextPageError ? list.fetchNextPage() : list.refetch());
  const onKey = (event: KeyboardEvent<HTMLElement>) => {
    if (event.target instanceof Element && event.target.closest("dialog.ask")) return;
    if (event.defaultPrevented || isTyping(event.target) || hasModifier(event.nativeEvent)) return;
    if (event.key === "/") {
      event.preventDefault();
      event.nativeEvent.stopImmediatePropagation(); // the chat would go to its composer
      void navigate("/search");
    } else if (step(event)) event.preventDefault();
  };
  return (
    <section className="sidebar" aria-label={text.sidebar.title} onKeyDown={onKey}>
      <header>
        <Link className="button" to={`/chat${query}`}>
          <PlusIcon size={16} />
          {text.nav.newChat}
        </Link>
        <Link className="button quiet square" to="/search" title={text.sidebar.search}>
          <SearchIcon size={18} />
          <span className="unseen">{text.sidebar.search}</span>
        </Link>
        {close}
      </header>
      <FilterBar filter={filter} folders={folders} acts={acts} />
      {list.isError ? <Failed failure={failureFrom(list.error)} onRetry={again} /> : null}
      {acts.failure ? <Failed failure={acts.failure} onRetry={acts.retry} /> : null}
      <div className="rows">
        {list.isPending ? <p className="soft small">{text.sidebar.loading}</p> : null}
        {!list.isPending && !list.isError && conversations.length === 0 ? (
          <p className="soft small">
            {filter.deleted ? text.sidebar.noDeleted : text.sidebar.none}
          </p>
        ) : null}
        <ul>
          {conversations.map((one) => (
            <Row key={one.id} conversation={one} folders={folders} query={query} acts={acts} />
          ))}
        </ul>
        <More
          shown={list.hasNextPage}
          busy={list.isFetchingNextPage}
          failed={list.isError}
          onMore={() => void list.fetchNextPage()}
        />
      </div>
      <Undo one={acts.deleted} acts={acts} />
    </section>
  );
}

/** Arrows go from row to row; false for other keys. */
function step(event: KeyboardEvent<HTMLElement>): boolean {
  const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (by === 0 || !(event.target instanceof HTMLElement)) return false;
  if (event.target.closest(".acts")) return false;
  const links = [...event.currentTarget.querySelectorAll<HTMLElement>(".rows li > a")];
  const at = links.findIndex((link) => link.parentElement?.contains(event.target as Node));
  const to = links[at + by];
  if (!to) return false;
  to.focus();
  return true;
}

interface MoreProps {
  shown: boolean;
  busy: boolean;
  /** Until somebody asks, nothing is asked for again: it would fail without end. */
  failed: boolean;
  onMore: () => void;
}

/** Asks for more when one has scrolled to it; it is a button too, for those who do not scroll. */
function More({ shown, busy, failed, onMore }: MoreProps) {
  const text = useText();
  const place = useRef<HTMLButtonElement>(null);
  const latest = useRef(onMore);
  useEffect(() => {
    latest.current = onMore;
  });
  useEffect(() => {
    const button = place.current;
    if (!button || busy || failed) return;
    const seen = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) latest.current();
    });
    seen.observe(button);
    return () => seen.disconnect();
  }, [shown, busy, failed]);
  if (!shown) return null;
  return (
    <button
      ref={place}
      type="button"
      className="button quiet"
      aria-disabled={busy}
      onClick={busy ? undefined : onMore}
    >
      {busy ? text.sidebar.loading : text.sidebar.more}
    </button>
  );
}
