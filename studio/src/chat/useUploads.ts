import { useCallback, useEffect, useRef, useState } from "react";

import type { Failure } from "../api/errors";
import { failureIn } from "../conversation/chats";
import { useTalk } from "../conversation/context";
import type { Attached } from "../conversation/types";

/** A file on its way, or refused. */
export interface Upload {
  key: number;
  name: string;
  size: number;
  failure: Failure | null;
}

/** Bytes; the server takes no more, and reading 1 GB to hear so would take minutes. */
export const MOST_BYTES = 10 * 2 ** 20;

type Change = (next: (files: readonly Attached[]) => readonly Attached[]) => void;

/** Sends files as soon as they are chosen; what the server refuses is said beside its name. */
export function useUploads(change: Change, tooBig: (size: number) => Failure) {
  const { chats } = useTalk();
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const aborts = useRef(new Map<number, AbortController>());
  const last = useRef(0);
  useEffect(() => {
    const running = aborts.current;
    return () => {
      for (const abort of running.values()) abort.abort();
    };
  }, []);

  const drop = useCallback((key: number) => {
    aborts.current.get(key)?.abort();
    aborts.current.delete(key);
    setUploads((all) => all.filter((one) => one.key !== key));
  }, []);

  const add = useCallback(
    (files: readonly File[]) => {
      for (const file of files) {
        const key = (last.current += 1);
        const one: Upload = { key, name: file.name, size: file.size, failure: null };
        const refuse = (why: Failure) =>
          setUploads((all) => all.map((up) => (up.key === key ? { ...up, failure: why } : up)));
        if (file.size > MOST_BYTES) {
          setUploads((all) => [...all, { ...one, failure: tooBig(file.size) }]);
          continue;
        }
        setUploads((all) => [...all, one]);
        const abort = new AbortController();
        aborts.current.set(key, abort);
        chats.api.attach(file.name, file, abort.signal).then(
          (attached) => {
            change((all) => [...all, attached]);
            drop(key);
          },
          (error: unknown) => {
            if (!abort.signal.aborted) refuse(failureIn(error));
          },
        );
      }
    },
    [chats, change, drop, tooBig],
  );

  return { uploads, add, drop };
}
