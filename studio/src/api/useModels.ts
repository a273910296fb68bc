import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { use } from "react";

import { SettingsContext } from "../settings/context";
import { ApiError, failure, type Failure } from "./errors";
import { listModels } from "./models";

/** The server's models, asked again every few seconds: they load and unload by themselves. */
export function useModels() {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["models", key],
    queryFn: ({ signal }) => listModels({ key }, signal),
    placeholderData: keepPreviousData, // a new key asks anew; until then the list stays
    refetchInterval: (query) => (query.state.status === "error" ? 3000 : 5000),
  });
}

/** What went wrong, as the pages show it. */
export function failureFrom(error: Error): Failure {
  return error instanceof ApiError ? error.failure : failure("unreadable", error.message);
}
