import { use, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { useQueryClient } from "@tanstack/react-query";

import { runPrompt } from "../api/prompts";
import { SettingsContext } from "../settings/context";
import {
  ALONE,
  cellKey,
  requestOf,
  restored,
  type Column,
  type Setup,
  type Written,
} from "./bench";
import { BenchQueue, type Wanted } from "./queue";
import type { Row } from "./rows";
import { useAnswers } from "./usePrompts";

/** Most answers that are looked through for what stands on a bench. */
const LOOKED_AT = 200;

/** The answers of a bench; leaving the page stops what is still asked. */
export function useBench(setup: Setup, written: Written) {
  const { key } = use(SettingsContext).settings;
  const queries = useQueryClient();
  const [queue] = useState(
    () =>
      new BenchQueue(
        (body, signal) => runPrompt({ key }, body, signal),
        () => {
          void queries.invalidateQueries({ queryKey: ["prompt"] });
          void queries.invalidateQueries({ queryKey: ["prompt-answers"] });
        },
      ),
  );
  useEffect(() => {
    queue.askBy((body, signal) => runPrompt({ key }, body, signal));
  }, [queue, key]);
  useEffect(() => () => queue.stop(), [queue]);
  const { columns, rows } = setup;
  useEffect(() => {
    // What was taken out is neither asked nor kept; rows come back when variables do.
    const all = columns.flatMap(({ id }) => [...rows, ALONE].map((row) => cellKey(id, row.id)));
    queue.keepOnly(new Set(all));
  }, [queue, columns, rows]);
  const found = useAnswers(written.id, null, LOOKED_AT).data;
  const filled = useRef(false);
  useEffect(() => {
    // Once: afterwards the bench knows better than the list does.
    if (!found || filled.current) return;
    filled.current = true;
    queue.fill(restored(setup, written, found));
  }, [found, queue, setup, written]);
  const wantedOf = (column: Column, row: Row): Wanted[] =>
    Array.from({ length: setup.repeats }, () => ({
      cell: cellKey(column.id, row.id),
      body: requestOf(column, row, written, setup),
    }));
  return {
    queue,
    run: (column: Column, row: Row) => queue.run(wantedOf(column, row)),
    runAll: (rows: readonly Row[]) =>
      queue.run(rows.flatMap((row) => setup.columns.flatMap((column) => wantedOf(column, row)))),
  };
}

export type BenchRun = ReturnType<typeof useBench>;

export function useCell(queue: BenchQueue, cell: string) {
  return useSyncExternalStore(queue.subscribe, () => queue.cell(cell));
}

/** How many are before an answer that waits. */
export function useBefore(queue: BenchQueue, cell: string, place: number) {
  return useSyncExternalStore(queue.subscribe, () => queue.before(cell, place));
}

export function useCounts(queue: BenchQueue) {
  return useSyncExternalStore(queue.subscribe, queue.counts);
}

/** The answers of a column, by its rows. */
export function useColumn(queue: BenchQueue, column: string, rows: readonly Row[]) {
  const all = useSyncExternalStore(queue.subscribe, queue.all);
  return useMemo(
    () => rows.map((row) => all.get(cellKey(column, row.id)) ?? []),
    [all, column, rows],
  );
}
