import type { ReactNode } from "react";

import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { isAbsent } from "../jobs/useJobs";
import { Failed } from "./Failed";

interface Props {
  /** The way to the list. */
  back: ReactNode;
  /** What is to be opened; null for what is being made. */
  name: string | null;
  /** There is no such thing. */
  missing: boolean;
  error: Error | null;
  words: {
    fresh: string;
    missing: string;
    missingWhy: string;
    unavailable: string;
    loading: string;
  };
  onRetry: () => void;
}

/** The page of a thing that is not here yet, is not there, or cannot be had. */
export function Unopened({ back, name, missing, error, words, onRetry }: Props) {
  const text = useText();
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${name ?? words.fresh} · ${text.product}`}</title>
      <div className="column broad">
        <header>
          {back}
          <h1 translate={missing ? undefined : "no"}>{missing ? words.missing : (name ?? "")}</h1>
        </header>
        {missing ? (
          <p>{words.missingWhy}</p>
        ) : isAbsent(error) ? (
          <p>{words.unavailable}</p>
        ) : error ? (
          <Failed failure={failureFrom(error)} onRetry={onRetry} />
        ) : (
          <p role="status">{words.loading}</p>
        )}
      </div>
    </div>
  );
}
