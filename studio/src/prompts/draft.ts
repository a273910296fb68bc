import type { PromptShown } from "../api/prompts";
import type { Setup } from "./bench";
import { MOST_COLUMNS, MOST_REPEATS } from "./bench";
import { freshRow, MOST_ROWS } from "./rows";

/** What is written of a prompt and not saved. */
export interface Draft {
  name: string;
  text: string;
  note: string;
}

const DRAFT = "kataribe.prompt.";
const BENCH = "kataribe.bench.";
/** Where what is new is written; `isName` lets no name be it. */
export const NEW = "-new";

export function opened(shown: PromptShown): Draft {
  return { name: shown.summary.name, text: shown.summary.text, note: "" };
}

export function isUnsaved(draft: Draft, shown: PromptShown | null): boolean {
  if (!shown) return draft.text !== "" || draft.name !== "";
  return draft.text !== shown.summary.text || draft.name !== shown.summary.name;
}

/** Names that the server takes: those that can be written as `NAME@3`, and no digits alone. */
export function isName(name: string): boolean {
  const kept = name.normalize("NFKC").trim();
  return (
    kept.length > 0 &&
    kept.length <= 64 &&
    // What may stand within: see `check_name` of the store.
    /^[\p{L}\p{N}_][\p{L}\p{N}._-]*$/u.test(kept)
  );
}

/** What was written in this tab; null where nothing was. */
export function keptDraft(place: string): Draft | null {
  const found = read(() => sessionStorage, DRAFT + place) as Partial<Draft> | null;
  return typeof found?.text === "string" && typeof found.name === "string"
    ? { name: found.name, text: found.text, note: found.note ?? "" }
    : null;
}

export function keepDraft(place: string, draft: Draft | null): void {
  write(() => sessionStorage, DRAFT + place, draft);
}

/** What is asked of a prompt in this browser, as far as it can be read. */
export function keptSetup(place: string): Setup | null {
  const found = read(() => localStorage, BENCH + place) as Partial<Setup> | null;
  if (!found || !Array.isArray(found.columns) || !Array.isArray(found.rows)) return null;
  const columns = found.columns.filter(({ id, model }) => !!id && typeof model === "string");
  const rows = found.rows.filter(({ id, values }) => !!id && typeof values === "object");
  if (columns.length === 0) return null;
  return {
    columns: columns.slice(0, MOST_COLUMNS),
    rows: rows.length > 0 ? rows.slice(0, MOST_ROWS) : [freshRow()],
    repeats: Math.min(MOST_REPEATS, Math.max(1, Number(found.repeats) || 1)),
    temperature: found.temperature ?? null,
    maxTokens: found.maxTokens ?? null,
  };
}

export function keepSetup(place: string, setup: Setup | null): void {
  write(() => localStorage, BENCH + place, setup);
}

function read(storage: () => Storage, key: string): unknown {
  try {
    return JSON.parse(storage().getItem(key) ?? "null");
  } catch {
    return null; // closed, or not to be read
  }
}

function write(storage: () => Storage, key: string, value: object | null): void {
  try {
    if (value === null) storage().removeItem(key);
    else storage().setItem(key, JSON.stringify(value));
  } catch {
    // Storage is closed or full: it holds as long as this page.
  }
}
