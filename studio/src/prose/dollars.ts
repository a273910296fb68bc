/**
 * Writes mathematics in the one form that the parser knows, `$$…$$`. Models write `\(…\)`, `\[…\]`
 * and `$…$` too; a single dollar is mathematics only as Pandoc has it (no space inside the signs, no
 * digit after the closing one), so that prices stay prices. Code is left alone.
 */
export function mathematics(text: string): string {
  if (!/\$|\\[([]/.test(text)) return text;
  let out = "";
  let at = 0;
  for (const found of text.matchAll(OPENING)) {
    if (found.index < at) continue; // inside what was taken already
    const end = found[0].startsWith("`")
      ? codeEnd(text, found.index, found[0])
      : found[0].startsWith("\\\\") || found[0] === "\\$"
        ? found.index + 2
        : -1;
    if (end !== -1) {
      out += text.slice(at, end);
      at = end;
      continue;
    }
    const formula = formulaAt(text, found.index, found[0]);
    if (!formula) continue;
    out += text.slice(at, found.index) + written(text, found.index, formula);
    at = formula.end;
  }
  return out + text.slice(at);
}

const OPENING = /`+|\\\\|\\\$|\\\(|\\\[|\$\$?/g;
/** Longest formula; a sign without its partner must not make the search a long one. */
const FAR = 4000;

interface Formula {
  tex: string;
  end: number;
  display: boolean;
}

function codeEnd(text: string, from: number, ticks: string): number {
  const closing = new RegExp(`(?<!\`)${ticks}(?!\`)`, "g");
  closing.lastIndex = from + ticks.length;
  const found = closing.exec(text);
  return found ? found.index + ticks.length : from + ticks.length;
}

function formulaAt(text: string, from: number, sign: string): Formula | null {
  const start = from + sign.length;
  const near = text.slice(start, start + FAR);
  const taken = (length: number, after: number, display: boolean): Formula | null => {
    const tex = near.slice(0, length);
    // An empty line ends a paragraph, and no formula goes past it.
    return tex.trim() === "" || /\n[ \t]*\n/.test(tex)
      ? null
      : { tex, end: start + length + after, display };
  };
  if (sign === "$") {
    if (/[A-Za-z0-9]/.test(text[from - 1] ?? "")) return null; // a price: US$5
    const found = /^(?=[^\s$])((?:\\.|[^$\\\n]|\n(?!\s*\n))*?[^\s$\\]|\\.)\$(?![\d$])/.exec(near);
    return found?.[1] === undefined ? null : taken(found[1].length, 1, false);
  }
  const closing = sign === "$$" ? "$$" : sign === "\\(" ? "\\)" : "\\]";
  const length = near.indexOf(closing);
  return length === -1 ? null : taken(length, 2, sign !== "\\(");
}

/** A formula that stands on lines of its own becomes a block, any other one a part of its line. */
function written(text: string, from: number, { tex, end, display }: Formula): string {
  const before = text.slice(text.lastIndexOf("\n", from - 1) + 1, from);
  const quoted = /^[ \t]*>/.test(before); // then each of its lines begins so
  const tight = tex
    .replace(quoted ? /\s*\n[\s>]*/g : /\s*\n\s*/g, " ")
    .trim()
    .replaceAll("$", "\\$");
  if (!display) return `$$${tight}$$`;
  const after = /^[^\n]*/.exec(text.slice(end))?.[0] ?? "";
  if (/^[ \t>]*$/.test(before) && after.trim() === "") return `$$\n${before}${tight}\n${before}$$`;
  return `$$\\displaystyle ${tight}$$`;
}
