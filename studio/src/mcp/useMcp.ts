import { useQuery, useQueryClient } from "@tanstack/react-query";
import { use, useEffect, useRef, useState } from "react";

import type { Failure } from "../api/errors";
import {
  addMcpServer,
  callMcpTool,
  checkMcpServer,
  listMcpServers,
  readMcpServer,
  removeMcpServer,
  restoreMcpServer,
  type McpDetail,
  type ToolCall,
} from "../api/mcp";
import { useChange } from "../api/useChange";
import { failureFrom } from "../api/useModels";
import { SettingsContext } from "../settings/context";

const LIST = "mcp";
const ONE = "mcp-server";

export function useMcpServers() {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: [LIST, key],
    queryFn: ({ signal }) => listMcpServers({ key }, signal),
    refetchOnWindowFocus: true, // an assistant may have started one meanwhile
  });
}

/** A server's tools as it listed them last. */
export function useMcpServer(name: string) {
  const { key } = use(SettingsContext).settings;
  return useQuery({
    queryKey: [ONE, key, name],
    queryFn: ({ signal }) => readMcpServer({ key }, name, signal),
  });
}

/** Changes of the file. */
export function useMcpActs() {
  const lists = [ONE, LIST];
  return {
    add: useChange(addMcpServer, lists),
    remove: useChange(removeMcpServer, lists),
    restore: useChange(restoreMcpServer, lists),
  };
}

export type McpActs = ReturnType<typeof useMcpActs>;

export function useCheck(name: string) {
  const queries = useQueryClient();
  const { key } = use(SettingsContext).settings;
  return useAct<string, McpDetail>(
    (server, signal) => checkMcpServer({ key }, server, signal),
    (detail) => {
      queries.setQueryData([ONE, key, name], detail);
      void queries.invalidateQueries({ queryKey: [LIST] });
    },
  );
}

export function useTry() {
  const queries = useQueryClient();
  const { key } = use(SettingsContext).settings;
  return useAct(
    (what: ToolCall, signal) => callMcpTool({ key }, what, signal),
    () => void queries.invalidateQueries({ queryKey: [LIST] }), // it was started for it, or died
  );
}

/** Something that may take a minute: since when it runs, how it ended, and a way to give it up. */
function useAct<Given, Made>(
  work: (given: Given, signal: AbortSignal) => Promise<Made>,
  onMade: (made: Made) => void,
) {
  const [since, setSince] = useState<number | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [made, setMade] = useState<Made | null>(null);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const end = (control: AbortController, tell: () => void) => {
    if (running.current !== control || control.signal.aborted) return;
    running.current = null;
    setSince(null);
    tell();
  };
  const start = (given: Given) => {
    if (running.current) return;
    const control = new AbortController();
    running.current = control;
    setSince(performance.now());
    setFailure(null);
    setMade(null);
    work(given, control.signal).then(
      (value) =>
        end(control, () => {
          setMade(value);
          onMade(value);
        }),
      (error: unknown) => end(control, () => setFailure(failureFrom(error as Error))),
    );
  };
  const cancel = () => {
    running.current?.abort();
    running.current = null;
    setSince(null);
  };
  return { since, failure, made, start, cancel };
}
