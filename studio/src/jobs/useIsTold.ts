import { use, useSyncExternalStore } from "react";

import { LiveContext } from "../api/live";

const never = () => () => undefined;

/** Whether the server tells by itself what happens; otherwise it is asked again and again. */
export function useIsTold(): boolean {
  const line = use(LiveContext);
  return useSyncExternalStore(line?.onState ?? never, () => line?.state === "open");
}
