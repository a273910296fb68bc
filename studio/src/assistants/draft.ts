import type { AssistantDetail, RecipeChecked, RecipeProblem } from "../api/assistants";
import { NOTHING, type Fields } from "./fields";

/** A recipe that is being written: its form and its YAML, which say the same when both are told. */
export interface Draft {
  /** Under which it will be saved. */
  name: string;
  text: string;
  /** What the form holds; null while the YAML cannot be read. */
  fields: Fields | null;
  /** Which of the two was changed and has not told the other yet. */
  ahead: "form" | "yaml" | null;
  problems: readonly RecipeProblem[];
  /** What is saved; null for what is new. */
  saved: Saved | null;
  /** Counts changes: an answer to an older state is passed over. */
  version: number;
}

interface Saved {
  tag: string;
  text: string;
  /** Of the workspace; one that comes with Kataribe is hidden by what is written over it. */
  own: boolean;
}

/** A draft of what is saved. */
export function opened(detail: AssistantDetail): Draft {
  return {
    name: detail.assistant.name,
    text: detail.text,
    fields: detail.fields,
    ahead: null,
    problems: detail.problems,
    saved: savedOf(detail),
    version: 0,
  };
}

function savedOf({ assistant, text }: AssistantDetail): Saved {
  return { tag: assistant.tag, text, own: assistant.own };
}

/** A draft of something new, which may begin like something that is there. */
export function begun(name: string, like: AssistantDetail | null): Draft {
  const text = like?.text ?? "";
  return {
    name,
    text,
    fields: like ? like.fields : NOTHING,
    ahead: null,
    problems: like?.problems ?? [],
    saved: null,
    version: 0,
  };
}

export type Change =
  | { type: "name"; name: string }
  | { type: "fields"; part: Partial<Fields> }
  | { type: "text"; text: string }
  | { type: "checked"; version: number; found: RecipeChecked }
  | { type: "saved"; detail: AssistantDetail }
  | { type: "open"; draft: Draft }
  | { type: "forget"; start: Draft };

export function changed(draft: Draft, change: Change): Draft {
  switch (change.type) {
    case "name":
      return { ...draft, name: change.name, version: draft.version + 1 };
    case "fields": {
      const fields = { ...draft.fields, ...change.part };
      return { ...draft, fields, ahead: "form", version: draft.version + 1 };
    }
    case "text":
      return { ...draft, text: change.text, ahead: "yaml", version: draft.version + 1 };
    case "checked": {
      if (change.version !== draft.version) return draft;
      const { text, fields, problems } = change.found;
      // What is typed in a field stays as it is typed, also where it does not hold.
      if (draft.ahead !== "yaml") return { ...draft, text, problems, ahead: null };
      return { ...draft, text, fields, problems, ahead: null };
    }
    case "saved": {
      const { detail } = change;
      return { ...draft, name: detail.assistant.name, saved: savedOf(detail) };
    }
    case "open":
      return { ...change.draft, version: draft.version + 1 };
    case "forget": {
      const { saved, version } = draft;
      if (saved === null) return { ...change.start, version: version + 1 };
      return { ...draft, text: saved.text, ahead: "yaml", version: version + 1 };
    }
  }
}

/** Whether there is something that saving would change. */
export function isUnsaved(draft: Draft): boolean {
  return draft.saved === null
    ? draft.text !== "" || draft.ahead !== null
    : draft.ahead !== null || draft.text !== draft.saved.text;
}

const PLACE = "kataribe.assistant.";

/** What is kept of a draft in this tab, so that leaving the page loses nothing. */
export function keep(place: string, draft: Draft): void {
  try {
    if (isUnsaved(draft)) sessionStorage.setItem(PLACE + place, JSON.stringify(draft));
    else sessionStorage.removeItem(PLACE + place);
  } catch {
    // storage is closed: it holds as long as this page
  }
}

export function forget(place: string): void {
  try {
    sessionStorage.removeItem(PLACE + place);
  } catch {
    // nothing was kept
  }
}

/** What was kept; null where nothing was, or it is not to be read. */
export function kept(place: string): Draft | null {
  try {
    const value = JSON.parse(sessionStorage.getItem(PLACE + place) ?? "null") as Draft | null;
    return typeof value?.text === "string" && Array.isArray(value.problems) ? value : null;
  } catch {
    return null;
  }
}
