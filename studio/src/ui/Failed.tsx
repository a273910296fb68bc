import { use, type ReactNode } from "react";

import type { Failure } from "../api/errors";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { useAccounts } from "../people/useMe";
import { WayIn } from "../people/WayIn";
import { SettingsContext } from "../settings/context";
import { InfoIcon, RetryIcon, WarnIcon } from "./icons";
import { useSecondsUntil } from "./useSecondsUntil";

interface Props {
  failure: Failure;
  /** Tries again, with a key that was just entered; null while that cannot be done. */
  onRetry: ((key?: string) => void) | null;
  children?: ReactNode;
}

/** A failure where it happened: what, why, what to do, and the server's own words. */
export function Failed({ failure, onRetry, children }: Props) {
  const text = useText();
  const language = useLanguage();
  const { settings } = use(SettingsContext);
  const asksKey = failure.kind === "key";
  const wait = useSecondsUntil(failure.retryAt);
  const signedOut = useAccounts() && asksKey;
  const { what, why } = signedOut
    ? { what: text.people.signedOut, why: text.people.signedOutWhy }
    : text.error[failure.kind];
  return (
    <div className={asksKey ? "notice" : "notice bad"} role="alert">
      {asksKey ? <InfoIcon size={18} /> : <WarnIcon size={18} />}
      <div className="stack">
        <strong>{what}</strong>
        <p>{why}</p>
        {failure.said === "" || signedOut ? null : (
          <p className="said soft">
            {text.error.said}{" "}
            <q lang="en" dir="auto">
              {failure.said}
            </q>
          </p>
        )}
        {asksKey && onRetry ? <WayIn onSaved={onRetry} /> : null}
        <div className="row">
          {onRetry && (!asksKey || settings.key !== null) ? (
            <button type="button" className="button" onClick={() => onRetry()} disabled={wait > 0}>
              <RetryIcon size={16} />
              {wait > 0 ? text.error.wait(count(language, wait)) : text.chat.retry}
            </button>
          ) : null}
          {children}
        </div>
      </div>
    </div>
  );
}
