/** As the server reads a template: `\{{` is literal, `{{ name }}` a variable, any other `{{` none. */
const PIECE = /\\\{\{|\{\{([^{}\n]*)\}\}|\{\{/gu;
const NAME = /^[\p{L}\p{Nl}\p{No}_][\p{L}\p{N}_]*$/u;

function nameIn(inside: string | undefined): string | null {
  const name = (inside ?? "").trim();
  return NAME.test(name) ? name : null;
}

/** Names of the variables, each once, in the order in which they first stand. */
export function variablesOf(text: string): string[] {
  const names = new Set<string>();
  for (const [piece, inside] of text.matchAll(PIECE)) {
    const name = piece.startsWith("\\") ? null : nameIn(inside);
    if (name !== null) names.add(name);
  }
  return [...names];
}

/** The first `{{` that begins no variable, and its line; null where the text is a template. */
export function faultOf(text: string): { line: number; piece: string } | null {
  for (const found of text.matchAll(PIECE)) {
    const [piece, inside] = found;
    if (piece.startsWith("\\") || nameIn(inside) !== null) continue;
    return { line: text.slice(0, found.index).split("\n").length, piece };
  }
  return null;
}

/** A value of one's own: a variable may be called `constructor`. */
export function valueOf(
  values: Readonly<Record<string, string>>,
  name: string,
): string | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}
