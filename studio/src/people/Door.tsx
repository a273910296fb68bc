import { Suspense, use, useEffect, useRef, type ReactNode } from "react";
import { Navigate, useLocation } from "react-router";

import { later } from "../app/later";
import { SettingsContext } from "../settings/context";
import type { Me } from "../api/people";
import { useMe } from "./useMe";
import { SIGN_IN, signInFrom, wantedFrom, WHOSE } from "./ways";

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

/** When somebody else signs in or out in another tab, nothing of the one before stays in this. */
function useSomebodyElse(me: Me | undefined): void {
  const known = useRef<string | null>(null);
  useEffect(() => {
    const now = me?.person?.id ?? null;
    if (now === null) return;
    if (known.current !== null && now !== known.current) return beginAnew();
    known.current = now;
  }, [me]);
  useEffect(() => {
    // Told before this tab asks who is signed in, and before it sends anything.
    const onStorage = ({ key, newValue }: StorageEvent) => {
      if (key === WHOSE && known.current !== null && newValue !== known.current) beginAnew();
    };
    window.addEventListener("storage", onStorage);
    return () => window.removeEventListener("storage", onStorage);
  }, []);
}

function beginAnew(): void {
  try {
    sessionStorage.clear();
  } catch {
    // Storage is closed, so nothing is in it.
  }
  location.reload();
}
