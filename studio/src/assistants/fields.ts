import type { RecipeFields, RecipeProblem } from "../api/assistants";

/**
 * What the form holds: a recipe's fields, whose numbers may be texts that are none. The server
 * says at their place what is wrong with them.
 */
export type Fields = Loose<RecipeFields>;

type Loose<T> = T extends number
  ? number | string
  : T extends string | boolean | null | undefined
    ? T
    : T extends (infer Item)[]
      ? Loose<Item>[]
      : T extends object
        ? { [Key in keyof T]?: Loose<T[Key]> }
        : T;

export type Rule = NonNullable<NonNullable<Fields["router"]>["rules"]>[number];
export type Test = NonNullable<Fields["tests"]>[number];
export type Part = NonNullable<Fields["tools"]>[number];

export const NOTHING: Fields = {};

/** A number as it was typed: itself, or the text that is none; null for an empty field. */
export function typedNumber(text: string): number | string | null {
  const plain = text.normalize("NFKC").trim();
  if (plain === "") return null;
  const value = Number(plain);
  return Number.isFinite(value) ? value : text;
}

/** What stands in a field for an option's value. */
export function shownValue(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** An option's value as it was typed: JSON where it is some, else a text; undefined for none. */
export function typedValue(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Options with one of them changed; undefined takes it out. */
export function withOption<T extends object>(
  options: T | undefined,
  name: string,
  value: unknown,
): T {
  const rest = Object.entries(options ?? {}).filter(([one]) => one !== name);
  return Object.fromEntries(value === undefined ? rest : [...rest, [name, value]]) as T;
}

/** Words that were typed with commas (or 、) between them. */
export function typedWords(text: string): string[] {
  return text
    .split(/[,、，\n]/)
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

/** What was typed one to a line. */
export function typedLines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Whether a guard looks: by its own word, else by `standard`. */
export function isOn(guards: Record<string, unknown>, name: string, standard: boolean): boolean {
  const said = guards[name];
  if (said === undefined) return guards["standard"] === true && standard;
  return said !== false;
}

/** The guards with one switched; what is as usual then is left out. */
export function withGuard(
  guards: Record<string, unknown>,
  name: string,
  standard: boolean,
  on: boolean,
): Record<string, unknown> {
  const usual = guards["standard"] === true && standard;
  return withOption(guards, name, on === usual ? undefined : on);
}

/** Fields of a form by the first steps of their place. */
const SAMPLING = ["temperature", "top_p", "top_k", "min_p", "max_tokens", "repetition_penalty"];
const PENALTIES = ["presence_penalty", "frequency_penalty"];
const LIMITS = ["steps", "tokens", "seconds", "dollars"];
const WHOLE = ["title", "about", "model", "system", "knowledge", "approval", "memory"];

/** Where in the form a problem stands: a place that has a field, or "" for above the form. */
export function homeOf(place: string): string {
  const [first = "", second = "", third = ""] = place.split(".");
  if (WHOLE.includes(first)) return first;
  if (first === "sampling" || first === "limits") {
    const known = first === "limits" ? LIMITS : [...SAMPLING, ...PENALTIES];
    return known.includes(second) ? `${first}.${second}` : first;
  }
  if (first === "technique") return second === "options" ? "technique.options" : "technique";
  if (first === "router") {
    if (second === "rules") return /^\d+$/.test(third) ? `router.rules.${third}` : "router";
    return second === "default" ? "router.default" : "router";
  }
  if (first === "tools" || first === "starters" || first === "tests")
    return /^\d+$/.test(second) ? `${first}.${second}` : first;
  if (first === "guards") return second === "" ? first : `guards.${second}`;
  return "";
}

/** The problems by where they stand. */
export function placed(problems: readonly RecipeProblem[]): Map<string, RecipeProblem[]> {
  const found = new Map<string, RecipeProblem[]>();
  for (const problem of problems) {
    const home = homeOf(problem.place);
    found.set(home, [...(found.get(home) ?? []), problem]);
  }
  return found;
}

/** The index of a line's first letter, and of its last, in a text; lines count from 1. */
export function lineRange(text: string, line: number): [number, number] {
  const lines = text.split("\n");
  const at = Math.min(Math.max(line, 1), lines.length) - 1;
  const start = lines.slice(0, at).reduce((sum, one) => sum + one.length + 1, 0);
  return [start, start + (lines[at]?.length ?? 0)];
}
