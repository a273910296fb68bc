import { callJson, type Connection } from "./client";
import type { Job } from "./jobs";
import type { Shape } from "./shapes";

export type Verdict = Shape<"CatalogModel">["verdict"];

/** A model that is here or can be had; sizes in bytes. */
export type CatalogModel = Shape<"CatalogModel">;

/** What to expect here: bytes, and tokens per second. */
export type Fit = Shape<"FitShown">;

export type SampleLanguage = Shape<"Sample">["language"];

export type CatalogCard = Shape<"CatalogCard">;

export type Pull = Shape<"Pull">;

const CATALOG = "/studio/api/catalog";
const at = (name: string) => `${CATALOG}/${encodeURIComponent(name)}`;

export async function listCatalog(to: Connection, signal: AbortSignal): Promise<CatalogModel[]> {
  return (await callJson<{ data: CatalogModel[] }>(to, CATALOG, { signal })).data;
}

export async function readCard(
  to: Connection,
  name: string,
  signal: AbortSignal,
): Promise<CatalogCard> {
  return callJson<CatalogCard>(to, at(name), { signal });
}

/** Begins a download, or gives the one that runs already. */
export async function pullModel(to: Connection, pull: Pull): Promise<Job> {
  return callJson<Job>(to, `${CATALOG}/pull`, { method: "POST", body: pull });
}

export async function deleteModel(
  to: Connection,
  name: string,
): Promise<{ name: string; freed: number }> {
  return callJson(to, at(name), { method: "DELETE" });
}

export type LoadedModel = Shape<"LoadedModel">;

const MEMORY = "/studio/api/models";

export async function listLoaded(to: Connection, signal: AbortSignal): Promise<LoadedModel[]> {
  return (await callJson<{ data: LoadedModel[] }>(to, `${MEMORY}/loaded`, { signal })).data;
}

export async function loadModel(
  to: Connection,
  model: string,
  signal: AbortSignal,
): Promise<LoadedModel> {
  return callJson(to, `${MEMORY}/load`, { method: "POST", body: { model }, signal });
}

export async function unloadModel(to: Connection, model: string, force: boolean): Promise<void> {
  await callJson(to, `${MEMORY}/unload`, { method: "POST", body: { model, force } });
}
