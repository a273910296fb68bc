import { useCallback, useEffect, useMemo, useState, type ReactNode } from "react";

import { SettingsContext } from "./context";
import { readLocal, writeLocal } from "./local";
import { parseSettings, STORAGE_NAME, type Settings } from "./settings";
import { useServerCopy } from "./useServerCopy";

/**
 * Gives every page the settings and applies language and colours. They are kept by the server, and
 * in this browser too, which has them at once and while the server is away.
 */
export function SettingsProvider({ children }: { children: ReactNode }) {
  const [settings, setSettings] = useState(readLocal);
  const [kept, setKept] = useState(true);

  const take = useCallback((next: Settings) => {
    setKept(writeLocal(next));
    setSettings((now) => (JSON.stringify(now) === JSON.stringify(next) ? now : next));
  }, []);
  const { server, failure, again, changed } = useServerCopy(settings, take);

  const change = useCallback(
    (part: Partial<Settings>) => {
      // Read again first: another tab may have changed a different field meanwhile.
      const next = { ...readLocal(), ...part };
      const written = writeLocal(next);
      setKept(written);
      setSettings((now) => (written ? next : { ...now, ...part }));
      changed(part);
    },
    [changed],
  );

  useEffect(() => {
    const onStorage = (event: StorageEvent) => {
      if (event.key === STORAGE_NAME)
        setSettings(parseSettings(event.newValue, navigator.language));
    };
    window.addEventListener("storage", onStorage);
    return () => window.removeEventListener("storage", onStorage);
  }, []);

  useEffect(() => {
    const root = document.documentElement;
    root.lang = settings.language;
    if (settings.theme === "auto") delete root.dataset["theme"];
    else root.dataset["theme"] = settings.theme;
  }, [settings.language, settings.theme]);

  const access = useMemo(
    () => ({ settings, change, kept, server, failure, again }),
    [settings, change, kept, server, failure, again],
  );
  return <SettingsContext value={access}>{children}</SettingsContext>;
}
