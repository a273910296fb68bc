import { useRef } from "react";
import { useLocation, useSearchParams } from "react-router";

import { DEFAULT_MODEL } from "../api/models";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { bytes } from "../i18n/format";
import { Command } from "../ui/Command";
import { Failed } from "../ui/Failed";
import { CheckIcon } from "../ui/icons";
import { useFindKey } from "../ui/useFindKey";
import { Elsewhere } from "./Elsewhere";
import { matches, NOTHING_CHOSEN, readFilter, writeFilter } from "./filter";
import { Filters } from "./Filters";
import { ModelTable } from "./ModelTable";
import { useEntries } from "./useCatalog";

/** Every model that is here or can be fetched. */
export function ModelsPage() {
  const text = useText();
  const { entries, absent, fresh, error, refetch } = useEntries();
  const [address, setAddress] = useSearchParams();
  const search = useRef<HTMLInputElement>(null);
  useFindKey(search);
  const filter = readFilter(address);
  const shown = entries?.filter((entry) => matches(entry, filter)) ?? [];
  const change = (part: Partial<typeof filter>) =>
    setAddress(writeFilter(address, part), { replace: true });
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${text.models.title} · ${text.product}`}</title>
      <div className="column broad">
        <header>
          <h1>{text.models.title}</h1>
          <p className="soft">{text.models.intro}</p>
        </header>
        <Deleted />
        {error ? <Failed failure={failureFrom(error)} onRetry={refetch} /> : null}
        {!entries && !error ? <p role="status">{text.models.loading}</p> : null}
        {entries && entries.length > 0 ? (
          <>
            <Filters
              entries={entries}
              filter={filter}
              shown={shown.length}
              search={search}
              onChange={change}
            />
            {shown.length > 0 ? (
              <ModelTable entries={shown} fresh={fresh} catalog={!absent} />
            ) : (
              <section className="stack">
                <p>{text.models.filters.none}</p>
                <button
                  type="button"
                  className="button fit"
                  onClick={() => {
                    change(NOTHING_CHOSEN);
                    search.current?.focus();
                  }}
                >
                  {text.models.filters.clear}
                </button>
              </section>
            )}
          </>
        ) : null}
        {entries?.length === 0 ? (
          <section className="stack">
            <h2>{text.models.empty}</h2>
            <p>{text.models.emptyWhy}</p>
            <Command command={`kataribe models pull ${DEFAULT_MODEL}`} />
          </section>
        ) : null}
        {entries && absent ? <p className="small soft">{text.models.noCatalog}</p> : null}
        {entries && !absent ? <Elsewhere /> : null}
      </div>
    </div>
  );
}

/** What was deleted on the page from which one came. */
function Deleted() {
  const text = useText();
  const language = useLanguage();
  const state = useLocation().state as { deleted?: unknown; freed?: unknown } | null;
  if (typeof state?.deleted !== "string" || typeof state.freed !== "number") return null;
  return (
    <p className="notice" role="status">
      <CheckIcon size={18} />
      {text.models.remove.done(state.deleted, bytes(language, state.freed))}
    </p>
  );
}
