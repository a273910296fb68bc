import type { AssistantShown, TwoLanguages } from "../api/assistants";
import type { Language } from "../i18n/catalogue";

/** The fields of the address that choose what is shown. */
export interface Filter {
  search: string;
  show: "own" | "ready" | null;
}

export function readFilter(address: URLSearchParams): Filter {
  const show = address.get("show");
  return {
    search: address.get("q") ?? "",
    show: show === "own" || show === "ready" ? show : null,
  };
}

/** The address with some fields changed; what else stands in it stays. */
export function writeFilter(address: URLSearchParams, part: Partial<Filter>): URLSearchParams {
  const next = new URLSearchParams(address);
  const { search, show } = { ...readFilter(address), ...part };
  if (search === "") next.delete("q");
  else next.set("q", search);
  if (show === null) next.delete("show");
  else next.set("show", show);
  return next;
}

/** The words for a reader of `language`; the other language's where there are none. */
export function inLanguage(words: TwoLanguages, language: Language): string {
  return (language === "ja" ? words.ja || words.en : words.en || words.ja) ?? "";
}

export function titleOf(assistant: AssistantShown, language: Language): string {
  return inLanguage(assistant.title, language) || assistant.name;
}

/** Written alike whatever the width and case: ＱＵＩＺ finds quiz. */
const plain = (text: string) => text.normalize("NFKC").toLowerCase();

export function matches(assistant: AssistantShown, { search, show }: Filter): boolean {
  if (show !== null && assistant.own !== (show === "own")) return false;
  const { name, title, about, models, tools } = assistant;
  const said = [name, title.en, title.ja, about.en, about.ja, ...models, ...tools];
  const all = plain(said.join(" "));
  return plain(search)
    .split(/\s+/)
    .every((word) => all.includes(word));
}

/** Own ones first, each by what the reader sees. */
export function inOrder(
  assistants: readonly AssistantShown[],
  language: Language,
): AssistantShown[] {
  return assistants.toSorted(
    (a, b) =>
      Number(b.own) - Number(a.own) ||
      titleOf(a, language).localeCompare(titleOf(b, language), language),
  );
}

/** Names that the server takes: those of a file. */
export function isName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name);
}

/** A name for another one like `name` that is not taken. */
export function freeName(name: string, taken: readonly string[]): string {
  const stem = name.replace(/-\d+$/, "");
  for (let number = 2; ; number++) {
    const next = `${stem}-${number}`;
    if (!taken.includes(next)) return next;
  }
}
