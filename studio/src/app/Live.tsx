import { use, useEffect, useState, type ReactNode } from "react";

import { LiveContext } from "../api/live";
import type { EventLine } from "../api/events";
import type { Connection } from "../api/client";
import { SettingsContext } from "../settings/context";

interface Props {
  line: EventLine;
  /** What every call of the data layer goes through; its key follows the settings. */
  connection: Connection;
  children: ReactNode;
}

/** Keeps the tab's one event stream open while the tab is seen, with the key of the settings. */
export function Live({ line, connection, children }: Props) {
  const { key } = use(SettingsContext).settings;
  // Before anything below asks for something, and not in an effect: theirs come first.
  const [now, setNow] = useState<string | null | undefined>(undefined);
  if (now !== key) {
    setNow(key);
    // eslint-disable-next-line react-hooks/immutability -- the data layer lives outside React
    connection.key = key;
  }

  useEffect(() => {
    const seen = () => line.seen();
    const online = () => line.again();
    document.addEventListener("visibilitychange", seen);
    window.addEventListener("online", online);
    line.start();
    return () => {
      document.removeEventListener("visibilitychange", seen);
      window.removeEventListener("online", online);
      line.stop();
    };
  }, [line]);

  useEffect(() => {
    if (line.state === "open" || line.state === "lost") line.again();
  }, [line, key]);

  return <LiveContext value={line}>{children}</LiveContext>;
}
