import { sizeClass, SIZE_CLASSES, type Entry } from "./entries";

/** The fields of the address that choose what is shown; null where a field chooses nothing. */
export interface Filter {
  search: string;
  task: string | null;
  licence: string | null;
  family: string | null;
  language: string | null;
  size: string | null;
  where: "here" | "absent" | null;
  fits: boolean;
}

/** Each field's name in the address. */
const NAMES = {
  search: "q",
  task: "task",
  licence: "licence",
  family: "family",
  language: "language",
  size: "size",
  where: "where",
  fits: "fits",
} as const satisfies Record<keyof Filter, string>;

export function readFilter(address: URLSearchParams): Filter {
  const field = (name: keyof Filter) => address.get(NAMES[name]) || null;
  const where = field("where");
  return {
    search: field("search") ?? "",
    task: field("task"),
    licence: field("licence"),
    family: field("family"),
    language: field("language"),
    size: field("size"),
    where: where === "here" || where === "absent" ? where : null,
    fits: field("fits") === "1",
  };
}

/** The address with some fields changed; what else stands in it stays. */
export function writeFilter(address: URLSearchParams, part: Partial<Filter>): URLSearchParams {
  const next = new URLSearchParams(address);
  for (const [name, value] of Object.entries(part) as [keyof Filter, Filter[keyof Filter]][]) {
    if (value === null || value === "" || value === false) next.delete(NAMES[name]);
    else next.set(NAMES[name], value === true ? "1" : value);
  }
  return next;
}

export const NOTHING_CHOSEN: Filter = {
  search: "",
  task: null,
  licence: null,
  family: null,
  language: null,
  size: null,
  where: null,
  fits: false,
};

/** How many fields choose something. */
export function chosen(filter: Filter): number {
  return Object.values(filter).filter((value) => value !== null && value !== "" && value !== false)
    .length;
}

/** Written alike whatever the width and case: ＱＷＥＮ finds qwen. */
const plain = (text: string) => text.normalize("NFKC").toLowerCase();

export function matches(entry: Entry, filter: Filter): boolean {
  const { card } = entry;
  const words = plain(filter.search)
    .split(/\s+/)
    .filter((word) => word !== "");
  const names = plain(`${entry.name} ${card?.title ?? ""}`);
  if (!words.every((word) => names.includes(word))) return false;
  if (filter.task !== null && card?.task !== filter.task) return false;
  if (filter.licence !== null && card?.licence !== filter.licence) return false;
  if (filter.family !== null && card?.family !== filter.family) return false;
  if (filter.language !== null && !card?.languages.includes(filter.language)) return false;
  if (filter.size !== null && sizeClass(entry) !== filter.size) return false;
  if (filter.where !== null && entry.here !== (filter.where === "here")) return false;
  const { verdict } = card ?? { verdict: "unknown" };
  return !filter.fits || verdict === "fits" || verdict === "fits_with_less_context";
}

type Choices = Record<"task" | "licence" | "family" | "language" | "size", string[]>;

/** What each field could choose among these entries. */
export function choicesOf(entries: readonly Entry[]): Choices {
  const cards = entries.map((entry) => entry.card).filter((card) => card !== null);
  const some = (values: (string | null)[]) =>
    [...new Set(values.filter((value) => value !== null && value !== ""))].sort() as string[];
  const sizes = new Set<string>(entries.map(sizeClass));
  return {
    task: some(cards.map((card) => card.task)),
    licence: some(cards.map((card) => card.licence)),
    family: some(cards.map((card) => card.family)),
    language: some(cards.flatMap((card) => card.languages)),
    size: SIZE_CLASSES.filter((size) => sizes.has(size)),
  };
}
