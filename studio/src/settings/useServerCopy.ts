import { useCallback, useEffect, useRef, useState } from "react";

import type { Failure } from "../api/errors";
import { changePreferences, readPreferences, type Values } from "../api/preferences";
import { failureFrom } from "../api/useModels";
import type { ServerKeeps } from "./context";
import { fromValues, keptNames, toValues, type KeptName } from "./kept";
import { readWaiting, writeWaiting } from "./local";
import type { Settings } from "./settings";

/** Milliseconds without a change before the server is told: a number is typed digit by digit. */
const PAUSE = 400;

interface Copy {
  server: ServerKeeps;
  failure: Failure | null;
  again: () => void;
  /** To be called with every change. */
  changed: (part: Partial<Settings>) => void;
}

/**
 * Keeps the settings with the server: asks for them at the beginning and when the tab is shown
 * again, and tells changes. What could not be told waits, also over a reload, and is not undone by
 * what the server still has.
 */
export function useServerCopy(settings: Settings, take: (settings: Settings) => void): Copy {
  const [server, setServer] = useState<ServerKeeps>("asking");
  const [failure, setFailure] = useState<Failure | null>(null);
  const latest = useRef({ settings, take });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const turn = useRef(0);
  useEffect(() => {
    latest.current = { settings, take };
  });

  const during = useCallback(async (work: () => Promise<Values>) => {
    const mine = (turn.current += 1);
    try {
      const values = await work();
      if (mine !== turn.current) return; // changed meanwhile: that answer is older
      const now = latest.current;
      now.take(fromValues(now.settings, values, readWaiting()));
      setFailure(null);
      setServer(readWaiting().size === 0 ? "kept" : "saving");
    } catch (error) {
      if (mine !== turn.current) return;
      setFailure(failureFrom(error instanceof Error ? error : new Error(String(error))));
      setServer("apart");
    }
  }, []);

  const tell = useCallback(() => {
    const names = [...readWaiting()].filter(isKept);
    if (names.length === 0) return;
    void during(async () => {
      const sent = toValues(latest.current.settings, names);
      const values = await changePreferences(latest.current.settings, sent);
      const left = readWaiting();
      const now = toValues(latest.current.settings, names);
      for (const [at, name] of Object.keys(sent).entries())
        if (JSON.stringify(now[name]) === JSON.stringify(sent[name])) left.delete(names[at] ?? "");
      writeWaiting(left);
      return values;
    });
  }, [during]);

  const again = useCallback(() => {
    if (readWaiting().size > 0) tell();
    else void during(() => readPreferences(latest.current.settings));
  }, [during, tell]);

  useEffect(() => {
    again();
    const seen = () => {
      if (document.visibilityState === "visible") again();
    };
    document.addEventListener("visibilitychange", seen);
    return () => document.removeEventListener("visibilitychange", seen);
  }, [again, settings.key]); // another key may be another person

  const changed = useCallback(
    (part: Partial<Settings>) => {
      const names = keptNames(part);
      if (names.length === 0) return;
      turn.current += 1; // whatever is on its way is older than this
      writeWaiting(new Set([...readWaiting(), ...names]));
      setServer("saving");
      clearTimeout(timer.current);
      timer.current = setTimeout(tell, PAUSE);
    },
    [tell],
  );
  return { server, failure, again, changed };
}

function isKept(name: string): name is KeptName {
  return keptNames({ [name]: null } as Partial<Settings>).length > 0;
}
