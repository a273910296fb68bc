import { Suspense, use, useEffect, type ReactNode } from "react";
import { Navigate, useLocation } from "react-router";

import { later } from "../app/later";
import { SettingsContext } from "../settings/context";
import { useMe } from "./useMe";
import { SIGN_IN, signInFrom, wantedFrom } from "./ways";

const SignInPage = later(async () => (await import("./SignInPage")).SignInPage);

/** Where people have accounts, nobody passes without one; else the door stands open. */
export function Door({ children }: { children: ReactNode }) {
  const me = useMe().data;
  const at = useLocation();
  const { settings, change } = use(SettingsContext);
  const accounts = me?.mode === "accounts";
  useEffect(() => {
    // A key from before there were accounts would speak for nobody.
    if (accounts && settings.key !== null) change({ key: null });
  }, [accounts, settings.key, change]);
  if (at.pathname === SIGN_IN) {
    if (me && (!accounts || me.person !== null))
      return <Navigate to={wantedFrom(at.search, location.origin)} replace />;
    return (
      <Suspense fallback={null}>
        <SignInPage />
      </Suspense>
    );
  }
  if (accounts && me.person === null) return <Navigate to={signInFrom(at)} replace />;
  return children;
}
