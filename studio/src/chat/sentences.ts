import { tame } from "../prose/tame";

/** The whole sentences (or lines) of `text` after `from`; empty while none is complete. */
export function nextSentences(text: string, from: number): string {
  const rest = text.slice(from);
  const end = /^[\s\S]*(?:[。！？\n]|[.!?](?=\s))/.exec(rest);
  return end ? end[0] : "";
}

/** What is read out at once at most, in UTF-16 units: about two minutes. */
const LONGEST = 2000;

/**
 * Words as they are given to screen readers: of very many their beginning and their end. The page
 * lays them out, unseen as they are, and towers of marks would hold it up for minutes.
 */
export function spoken(words: string): string {
  const some =
    words.length <= LONGEST ? words : `${words.slice(0, LONGEST - 300)} … ${words.slice(-300)}`;
  return tame(some).text;
}
