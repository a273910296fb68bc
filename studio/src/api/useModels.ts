import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { use } from "react";

import { SettingsContext } from "../settings/context";
import { ApiError, failure, type Failure } from "./errors";
import { listModels, writes, type Model } from "./models";

/** Models that write: others are no partners in a conversation. */
function writers(models: readonly Model[]): Model[] {
  return models.filter((model) => writes(model));
}

/**
 * The server's models that write, or every one, asked again every few seconds: they load and
 * unload by themselves.
 */
export function useModels(which: "writers" | "all" = "writers") {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["models", key],
    queryFn: ({ signal }) => listModels({ key }, signal),
    ...(which === "all" ? {} : { select: writers }),
    placeholderData: keepPreviousData, // a new key asks anew; until then the list stays
    refetchInterval: (query) => (query.state.status === "error" ? 3000 : 5000),
  });
}

/** What went wrong, as the pages show it. */
export function failureFrom(error: Error): Failure {
  return error instanceof ApiError ? error.failure : failure("unreadable", error.message);
}
