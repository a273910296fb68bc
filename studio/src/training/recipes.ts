import type { NewRun, TrainingChoices } from "../api/training";
import { readNumber, type Range } from "../settings/numbers";

export type Objective = NewRun["objective"];
export type Kind = keyof TrainingChoices;

/** A number that a form may ask for, by its name in the request. */
export type Field = "minutes" | "size" | "epochs" | "tokens" | "context" | "batch" | "seed";

/** What a kind of run needs. */
export interface Recipe {
  data: Kind;
  tokenizer: Kind | null;
  model: Kind | null;
  /** With what is filled in at first; empty for what may stay so. */
  fields: Partial<Record<Field, string>>;
  /** Of these fields at least one is needed. */
  needs: readonly Field[];
  /** What a batch is counted in. */
  batch: "tokens" | "examples";
}

const tuned = (data: Kind, model: Kind): Recipe => ({
  data,
  tokenizer: null,
  model,
  fields: { epochs: "3" },
  needs: ["epochs"],
  batch: "examples",
});

const fromText = (tokenizer: Kind): Recipe => ({
  data: "corpora",
  tokenizer,
  model: null,
  fields: { tokens: "" },
  needs: [],
  batch: "tokens",
});

export const RECIPES: Record<Objective, Recipe> = {
  pretrain: {
    ...fromText("tokenizers"),
    fields: { minutes: "10", size: "" },
    needs: ["minutes", "size"],
  },
  instruct: { ...tuned("chats", "models"), batch: "tokens" },
  masked: fromText("mask_tokenizers"),
  denoise: fromText("gap_tokenizers"),
  classify: tuned("labelled", "encoders"),
  tag: tuned("tagged", "encoders"),
  embed: tuned("pairs", "encoders"),
  distill: {
    ...fromText("tokenizers"),
    tokenizer: null,
    model: "models",
    fields: { size: "5M", tokens: "" },
    needs: ["size"],
  },
};

export const OBJECTIVES = Object.keys(RECIPES) as Objective[];

/** Fields that every kind has, for those who want to say it themselves. */
export const MORE: readonly Field[] = ["context", "batch", "seed"];

/** What makes the things that a run needs, or a line of it where no command makes any. */
export const MAKE: Record<Kind, string | null> = {
  corpora: "kataribe corpus make code stdlib",
  chats: "kataribe corpus instructions chats --from stdlib",
  labelled: '{"text": "…", "label": "…"}',
  tagged: '{"words": ["…", "…"], "tags": ["B-X", "O"]}',
  pairs: '{"query": "…", "passage": "…"}',
  tokenizers: "kataribe tokenizer train code code",
  mask_tokenizers: "kataribe tokenizer train words code --kind wordpiece",
  gap_tokenizers: "kataribe tokenizer train gaps code --kind unigram --sentinels 100",
  models: null,
  encoders: null,
};

const RANGES: Record<Exclude<Field, "size">, Range> = {
  minutes: { low: 0.1, high: 60 * 24 * 30 },
  epochs: { low: 0.01, high: 1000 },
  tokens: { low: 1, high: 2 ** 31 - 1, whole: true },
  context: { low: 8, high: 1 << 20, whole: true },
  batch: { low: 1, high: 1e9, whole: true },
  seed: { low: 0, high: 2 ** 31 - 1, whole: true },
};

/** A field as it goes into the request: null when empty, undefined when it cannot be. */
export function readField(field: Field, typed: string): number | string | null | undefined {
  if (field !== "size") return readNumber(typed, RANGES[field]);
  const plain = typed.normalize("NFKC").trim();
  if (plain === "") return null;
  return /^\d+(\.\d+)?[kmb]?$/i.test(plain) ? plain : undefined;
}
