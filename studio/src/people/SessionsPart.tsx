import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { endSession, listSessions } from "../api/people";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { moment } from "./time";
import { browserOf } from "./ways";

/** The browsers that one is signed in with; each other one can be signed out. */
export function SessionsPart() {
  const text = useText();
  const language = useLanguage();
  const words = text.people.sessions;
  const queries = useQueryClient();
  const found = useQuery({
    queryKey: ["sessions"],
    queryFn: ({ signal }) => listSessions({ key: null }, signal),
  });
  const end = useMutation({
    mutationFn: (id: string) => endSession({ key: null }, id),
    networkMode: "always",
    onSuccess: (left) => queries.setQueryData(["sessions"], left),
    onError: () => queries.invalidateQueries({ queryKey: ["sessions"] }),
  });
  const failed = end.error ?? found.error;
  return (
    <section className="account">
      <h2>{words.title}</h2>
      {failed ? (
        <Failed failure={failureFrom(failed)} onRetry={() => void found.refetch()} />
      ) : null}
      <ul className="things">
        {(found.data ?? []).map((one) => (
          <li key={one.id}>
            <div className="what">
              <span translate="no">{browserOf(one.agent) || words.unknown}</span>
              <span className="small soft">
                {one.current ? words.here : words.seen(moment(language, one.seen_at))}
              </span>
            </div>
            {one.current ? null : (
              <button
                type="button"
                className="button"
                aria-label={words.endOf(browserOf(one.agent) || words.unknown)}
                aria-disabled={end.isPending}
                onClick={() => {
                  if (!end.isPending) end.mutate(one.id);
                }}
              >
                {words.end}
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
