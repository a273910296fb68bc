import { Suspense, use, useEffect, useRef, type ReactNode } from "react";
import { Navigate, useLocation } from "react-router";

import { later } from "../app/later";
import { SettingsContext } from "../settings/context";
import type { Me } from "../api/people";
import { useMe } from "./useMe";
import { SIGN_IN, signInFrom, wantedFrom } from "./ways";
import { forget, PERSON, takeOver } from "./whose";

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
  useSomebodyElse(me);
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

/** When another person uses this browser, or nobody any more, the page begins anew without words. */
function useSomebodyElse(me: Me | undefined): void {
  const known = useRef<string | null>(null);
  useEffect(() => {
    if (!me) return;
    const now = me.person?.id ?? null;
    const left = known.current !== null && now !== known.current;
    known.current = now;
    if ((now !== null && takeOver(now)) || left) location.reload();
  }, [me]);
  useEffect(() => {
    // Told in another tab, before this one asks who is signed in.
    const onStorage = ({ key, newValue }: StorageEvent) => {
      if (key !== PERSON || known.current === null || newValue === known.current) return;
      forget(sessionStorage);
      location.reload();
    };
    window.addEventListener("storage", onStorage);
    return () => window.removeEventListener("storage", onStorage);
  }, []);
}
