import { useState } from "react";

import type { NewRun, TrainingChoices } from "../api/training";
import { MORE, readField, RECIPES, type Field, type Kind, type Objective } from "./recipes";

type Role = "data" | "tokenizer" | "model";

/** What is typed and picked in the form, for each kind of run by itself. */
export function useDraft(choices: TrainingChoices) {
  const [objective, setObjective] = useState<Objective>("pretrain");
  const [name, setName] = useState("");
  const [typed, setTyped] = useState<Record<string, string>>({});
  const [picked, setPicked] = useState<Record<string, string>>({});
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
    setObjective,
    name,
    setName,
    recipe,
    sources,
    textOf,
    wrong,
    wanted,
    type: (field: Field, text: string) => setTyped({ ...typed, [at(field)]: text }),
    pick: (role: Role, value: string) => setPicked({ ...picked, [at(role)]: value }),
  };
}

export type Draft = ReturnType<typeof useDraft>;

/** What was picked, as long as it is there; else the first; null where there is none. */
function chosen(options: readonly string[], picked: string | undefined): string | null {
  return picked !== undefined && options.includes(picked) ? picked : (options[0] ?? null);
}
