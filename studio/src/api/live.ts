import { createContext, use, useEffect, useRef, useSyncExternalStore } from "react";

import type { EventLine, EventName, LineState, ServerEvents } from "./events";

export const LiveContext = createContext<EventLine | null>(null);

export function useEventLine(): EventLine {
  const line = use(LiveContext);
  if (!line) throw new Error("LiveContext is missing above this component");
  return line;
}

/** Calls `handler` with each of the server's events of this name while the component is there. */
export function useServerEvent<N extends EventName>(
  name: N,
  handler: (data: ServerEvents[N]) => void,
): void {
  const line = useEventLine();
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  useEffect(() => line.on(name, (data) => latest.current(data)), [line, name]);
}

/** Whether the server's events arrive; after `lost` what was missed must be asked for anew. */
export function useLineState(): LineState {
  const line = useEventLine();
  return useSyncExternalStore(line.onState, () => line.state);
}
