import { call, callJson, type Connection } from "./client";
import { named } from "./list";
import type { Shape } from "./shapes";

/** Values by name, as `/studio/api/preferences` keeps them; null removes one. */
export type Values = Record<string, unknown>;

/** The data folder; sizes in bytes. */
export type StorageShown = Shape<"StorageShown">;

export type Imported = Shape<"Imported">;

const ROOT = "/studio/api";

export async function readPreferences(to: Connection, signal?: AbortSignal): Promise<Values> {
  const path = `${ROOT}/preferences`;
  return (await callJson<{ values: Values }>(to, path, signal ? { signal } : {})).values;
}

export async function changePreferences(to: Connection, values: Values): Promise<Values> {
  const path = `${ROOT}/preferences`;
  const body = { values };
  return (await callJson<{ values: Values }>(to, path, { method: "PATCH", body })).values;
}

export function readStorage(to: Connection, signal?: AbortSignal): Promise<StorageShown> {
  return callJson(to, `${ROOT}/storage`, signal ? { signal } : {});
}

/** Everything that the person has, as one file. */
export async function exportAll(to: Connection): Promise<{ file: Blob; name: string }> {
  return named(await call(to, `${ROOT}/export`), "kataribe.json");
}

export function importAll(to: Connection, file: Blob): Promise<Imported> {
  const typed = new Blob([file], { type: "application/json" });
  return callJson(to, `${ROOT}/import`, {
    method: "POST",
    body: typed,
    headers: { "Content-Type": "application/json" },
  });
}
