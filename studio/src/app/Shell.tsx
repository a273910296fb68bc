import { useRef, type ReactNode } from "react";
import { NavLink } from "react-router";

import { useText } from "../i18n";
import { JobsTray } from "../jobs/JobsTray";
import { useSearchKey } from "../search/useSearchKey";
import { BrandIcon, KeysIcon, SettingsIcon } from "../ui/icons";
import { KeysDialog, useKeysDialog } from "./KeysDialog";
import { PhoneVerbs } from "./PhoneVerbs";
import { usePhone } from "./usePhone";
import { useVisibleHeight } from "./useVisibleHeight";
import { VERBS } from "./verbs";

/** The rail with the verbs and their pages, and beside it (on a phone: above it) the page. */
export function Shell({ children }: { children: ReactNode }) {
  const text = useText();
  const main = useRef<HTMLElement>(null);
  const [dialog, openKeys] = useKeysDialog();
  const isPhone = usePhone();
  useVisibleHeight();
  useSearchKey();
  return (
    <div className="shell">
      <button
        type="button"
        className="button skip"
        onClick={() => main.current?.focus({ preventScroll: true })}
      >
        {text.nav.skip}
      </button>
      <nav className="rail" aria-label={text.nav.label}>
        {isPhone ? (
          <PhoneVerbs />
        ) : (
          <>
            <p className="brand" translate="no">
              <BrandIcon />
              <span>{text.product}</span>
            </p>
            {VERBS.map((verb) => (
              <div key={verb.name} className="group">
                <p className="verb">{text.nav[verb.name]}</p>
                {verb.places.map((place) => (
                  <To key={place.address} address={place.address} name={text.nav[place.name]}>
                    <place.icon />
                  </To>
                ))}
              </div>
            ))}
          </>
        )}
        <div className="group foot">
          <JobsTray />
          <button type="button" className="to keys" title={text.nav.keys} onClick={openKeys}>
            <KeysIcon />
            <span>{text.nav.keys}</span>
          </button>
          <To address="/settings" name={text.nav.settings}>
            <SettingsIcon />
          </To>
        </div>
      </nav>
      <main ref={main} tabIndex={-1}>
        {children}
      </main>
      <KeysDialog dialog={dialog} />
    </div>
  );
}

function To({ address, name, children }: { address: string; name: string; children: ReactNode }) {
  return (
    <NavLink className="to" to={address} title={name}>
      {children}
      <span>{name}</span>
    </NavLink>
  );
}
