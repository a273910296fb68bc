import { useState } from "react";

import type { NewRun, TrainingChoices } from "../api/training";
import {
  MORE,
  OBJECTIVES,
  readField,
  RECIPES,
  type Field,
  type Kind,
  type Objective,
} from "./recipes";

type Role = "data" | "tokenizer" | "model";
type Words = Readonly<Record<string, string>>;

interface Kept {
  objective: Objective;
  name: string;
  typed: Words;
  picked: Words;
}

const NAME = "kataribe.training";
const EMPTY: Kept = { objective: "pretrain", name: "", typed: {}, picked: {} };

/**
 * What is typed and picked in the form, for each kind of run by itself. It is kept in this tab until
 * a run begins: what to expect of it may be looked at, left and come back to.
 */
export function useDraft(choices: TrainingChoices) {
  const [kept, setKept] = useState(read);
  const { objective, name, typed, picked } = kept;
  const change = (part: Partial<Kept>) => {
    const next = { ...kept, ...part };
    try {
      sessionStorage.setItem(NAME, JSON.stringify(next));
    } catch {
      // storage is closed: it holds as long as this page
    }
    setKept(next);
  };
  const recipe = RECIPES[objective];
  const at = (what: string) => `${what} ${objective}`;
  const fields = [...(Object.keys(recipe.fields) as Field[]), ...MORE];
  const textOf = (field: Field) => typed[at(field)] ?? recipe.fields[field] ?? "";
  const values = fields.map((field) => [field, readField(field, textOf(field))] as const);
  const source = (role: Role, kind: Kind | null) => {
    const options = kind === null ? [] : choices[kind];
    return { kind, options, value: chosen(options, picked[at(role)]) };
  };
  const sources = {
    data: source("data", recipe.data),
    tokenizer: source("tokenizer", recipe.tokenizer),
    model: source("model", recipe.model),
  };
  const lacks = Object.values(sources).some((one) => one.kind !== null && one.value === null);
  const wrong = new Set(values.flatMap(([field, value]) => (value === undefined ? [field] : [])));
  const said = values.filter(([, value]) => value !== null && value !== undefined);
  const enough = recipe.needs.length === 0 || said.some(([field]) => recipe.needs.includes(field));
  const wanted: NewRun | null =
    name.trim() === "" || lacks || wrong.size > 0 || !enough
      ? null
      : {
          seed: 0,
          start: false,
          objective,
          name: name.trim(),
          corpus: sources.data.value ?? "",
          ...(sources.tokenizer.value === null ? {} : { tokenizer: sources.tokenizer.value }),
          ...(sources.model.value === null ? {} : { model: sources.model.value }),
          ...Object.fromEntries(said),
        };
  return {
    objective,
    setObjective: (next: Objective) => change({ objective: next }),
    name,
    setName: (next: string) => change({ name: next }),
    recipe,
    sources,
    textOf,
    wrong,
    wanted,
    type: (field: Field, text: string) => change({ typed: { ...typed, [at(field)]: text } }),
    pick: (role: Role, value: string) => change({ picked: { ...picked, [at(role)]: value } }),
  };
}

export type Draft = ReturnType<typeof useDraft>;

/** The form is to be empty again. */
export function forgetDraft(): void {
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    // nothing was kept
  }
}

function read(): Kept {
  try {
    const value = JSON.parse(sessionStorage.getItem(NAME) ?? "null") as Partial<Kept> | null;
    if (typeof value?.name !== "string") return EMPTY;
    const objective = OBJECTIVES.find((one) => one === value.objective) ?? EMPTY.objective;
    return { objective, name: value.name, typed: words(value.typed), picked: words(value.picked) };
  } catch {
    return EMPTY;
  }
}

function words(value: unknown): Words {
  const said = Object.entries((value ?? {}) as Record<string, unknown>);
  return Object.fromEntries(
    said.flatMap(([at, one]) => (typeof one === "string" ? [[at, one]] : [])),
  );
}

/** What was picked, as long as it is there; else the first; null where there is none. */
function chosen(options: readonly string[], picked: string | undefined): string | null {
  return picked !== undefined && options.includes(picked) ? picked : (options[0] ?? null);
}
