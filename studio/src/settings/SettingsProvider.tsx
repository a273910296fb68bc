import { useCallback, useEffect, useMemo, useState, type ReactNode } from "react";

import { SettingsContext } from "./context";
import { parseSettings, STORAGE_NAME, type Settings } from "./settings";

function read(): string | null {
  try {
    return localStorage.getItem(STORAGE_NAME);
  } catch {
    return null; // storage is closed (private windows of some browsers): defaults serve
  }
}

function write(settings: Settings): boolean {
  try {
    localStorage.setItem(STORAGE_NAME, JSON.stringify(settings));
    return true;
  } catch {
    return false;
  }
}

/** Gives every page the settings, keeps them in this browser and applies language and colours. */
export function SettingsProvider({ children }: { children: ReactNode }) {
  const [settings, setSettings] = useState(() => parseSettings(read(), navigator.language));
  const [kept, setKept] = useState(true);

  const change = useCallback((part: Partial<Settings>) => {
    // Read again first: another tab may have changed a different field meanwhile.
    const next = { ...parseSettings(read(), navigator.language), ...part };
    const written = write(next);
    setKept(written);
    setSettings((now) => (written ? next : { ...now, ...part }));
  }, []);

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

  const access = useMemo(() => ({ settings, change, kept }), [settings, change, kept]);
  return <SettingsContext value={access}>{children}</SettingsContext>;
}
