/** The whole sentences (or lines) of `text` after `from`; empty while none is complete. */
export function nextSentences(text: string, from: number): string {
  const rest = text.slice(from);
  const end = /^[\s\S]*(?:[。！？\n]|[.!?](?=\s))/.exec(rest);
  return end ? end[0] : "";
}
