import { useQuery } from "@tanstack/react-query";
import { use } from "react";

import { getMe } from "../api/people";
import { SettingsContext } from "../settings/context";

/** Who this browser is; asked again whenever the tab comes back, since sessions end elsewhere. */
export function useMe() {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: ["me", key],
    queryFn: ({ signal }) => getMe({ key }, signal),
  });
}

/** Whether people have accounts on this server. */
export function useAccounts(): boolean {
  return useMe().data?.mode === "accounts";
}
