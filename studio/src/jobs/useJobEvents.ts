import { useQueryClient } from "@tanstack/react-query";
import { use, useEffect } from "react";

import type { Job } from "../api/jobs";
import { LiveContext } from "../api/live";
import { whenIdle } from "../ui/idle";
import { useIsTold } from "./useIsTold";
import { useTakeJob } from "./useJobs";

/** Puts each change of a job into the list as the server tells it. Once per page is enough. */
export function useJobEvents(): void {
  const line = use(LiveContext);
  const take = useTakeJob();
  const queries = useQueryClient();
  const told = useIsTold();
  useEffect(() => line?.on("job", (job) => take(job as unknown as Job)), [line, take]);
  useEffect(() => {
    // What happened before the line was open is asked for, after what the person waits for.
    if (!told) return;
    return whenIdle(() => void queries.invalidateQueries({ queryKey: ["jobs"] }));
  }, [told, queries]);
}
