/**
 * What a block of Markdown is, so that each kind is shown in its own way: code and what is made to
 * break the page never reach the parser, and long lists and tables reach it in pieces.
 */
export type Shape =
  | { kind: "text" }
  | { kind: "code"; code: string; language: string; open: boolean }
  | { kind: "table"; head: string; rows: readonly string[]; count: number }
  | { kind: "list"; ordered: boolean; start: number; loose: boolean; items: readonly string[] }
  | { kind: "plain"; why: "long" | "deep" | "knotty" };

/** Longest block that is parsed, in UTF-16 units: about ten pages. */
export const LONGEST = 20_000;
/** Deepest nesting of quotations and lists: beyond it nobody can read what is shown. */
const DEEPEST = 20;
/** Most signs that may open or close something: parsing takes time by their square. */
const MOST_MARKS = 3000;
const MOST_COLUMNS = 300;
/** Rows of a table that are parsed together; a shorter table is left whole. */
const ROWS = 100;
/** Items of a list that are parsed together; a shorter list is left whole. */
const ITEMS = 25;

export function shapeOf(block: string): Shape {
  const code = fenced(block);
  if (code) return code;
  const table = longTable(block);
  if (table) return table;
  return longList(block) ?? parsable(block);
}

/** Whether the parser can take this text in a time that nobody notices. */
function parsable(text: string): Shape {
  if (text.length > LONGEST) return { kind: "plain", why: "long" };
  if (NESTED.test(text) || deepIndent(text)) return { kind: "plain", why: "deep" };
  if (tooTangled(text)) return { kind: "plain", why: "knotty" };
  return { kind: "text" };
}

function tooTangled(text: string): boolean {
  return (text.match(MARKS)?.length ?? 0) > MOST_MARKS || bracketDepth(text) > DEEPEST;
}

/** How deep brackets stand in brackets: links in links take time by the cube of that. */
function bracketDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const sign of text) {
    if (sign === "[") deepest = Math.max(deepest, (depth += 1));
    else if (sign === "]" && depth > 0) depth -= 1;
  }
  return deepest;
}

const NESTED = new RegExp(
  `^(?:[ \\t]*(?:>|[-*+](?=[ \\t])|\\d{1,9}[.)](?=[ \\t]))[ \\t]*){${DEEPEST + 1}}`,
  "m",
);
const MARKS = /[*_~`[\]<$&\\]|\|/g;

/** Whether list items stand deeper and deeper, line below line. */
function deepIndent(text: string): boolean {
  const item = /^([ \t]+)(?:[-*+]|\d{1,9}[.)])[ \t]/gm;
  for (const found of text.matchAll(item))
    if ((found[1] ?? "").replaceAll("\t", "    ").length >= 2 * DEEPEST + 2) return true;
  return false;
}

/** A fence and what stands in it; unclosed, its code goes on to the end. */
function fenced(block: string): Shape | null {
  const first = /^ {0,3}(`{3,}|~{3,})([^\n]*)(?:\n|$)/.exec(block);
  const mark = first?.[1];
  if (!first || mark === undefined) return null;
  const info = (first[2] ?? "").trim();
  if (mark.startsWith("`") && info.includes("`")) return null; // code within a line
  const closing = new RegExp(`^ {0,3}\\${mark[0] ?? ""}{${mark.length},}[ \\t]*$`, "m");
  const body = block.slice(first[0].length);
  const end = closing.exec(body);
  if (end && body.slice(end.index + end[0].length).trim() !== "") return null; // words follow
  const code = end ? body.slice(0, end.index) : body;
  const language = /^[^\s{,]*/.exec(info)?.[0] ?? "";
  return { kind: "code", code: code.replace(/\n$/, ""), language, open: !end };
}

function longTable(block: string): Shape | null {
  const lines = block.replace(/\n+$/, "").split("\n");
  if (lines.length < ROWS / 2) return null;
  const [head = "", delimiter = "", ...rows] = lines;
  if (!head.includes("|") || !/^ {0,3}\|?[ \t:|-]*-[ \t:|-]*$/.test(delimiter)) return null;
  const columns = delimiter.split("|").length;
  if (columns > MOST_COLUMNS || !rows.every((row) => /^ {0,3}\|/.test(row))) return null;
  const pieces = together(rows, ROWS);
  if (pieces.some((piece) => piece.length > 2 * LONGEST || tooTangled(piece.replaceAll("|", ""))))
    return null;
  return { kind: "table", head: `${head}\n${delimiter}`, rows: pieces, count: rows.length };
}

/**
 * A long flat list in pieces that begin with an item at the margin. A list in which anything else
 * stands at the margin is left to the parser as a whole.
 */
function longList(block: string): Shape | null {
  const mark = /^([-*+])[ \t]|^(\d{1,9})([.)])[ \t]/.exec(block);
  if (!mark) return null;
  const lines = block.replace(/\n+$/, "").split("\n");
  if (lines.length <= ITEMS) return null;
  const same = mark[1] ?? mark[3] ?? "";
  const items: string[] = [];
  for (const line of lines) {
    const item = /^(?:([-*+])|\d{1,9}([.)]))(?:[ \t]|$)/.exec(line);
    if (item && (item[1] ?? item[2]) === same && !/^(?:[-*+][ \t]*){3,}$/.test(line)) {
      items.push(line);
      continue;
    }
    // Deeper lines, empty ones and plain words go on with the item above them.
    if (line.trim() !== "" && !/^(?: {2,}|\t|[\p{L}\p{N}(「『（])/u.test(line)) return null;
    if (item) return null;
    items[items.length - 1] += `\n${line}`;
  }
  if (items.length <= ITEMS) return null;
  const loose = items.slice(0, -1).some((item) => /\n[ \t]*(?:\n|$)/.test(item));
  const ordered = mark[2] !== undefined;
  const start = Number(mark[2] ?? 1);
  const pieces = together(items, ITEMS);
  const wild = pieces.map(parsable).find((shape) => shape.kind === "plain");
  return wild ?? { kind: "list", ordered, start, loose, items: pieces };
}

/** Lines joined in pieces of `size`. Finished pieces stay as they are while the last one grows. */
function together(lines: readonly string[], size: number): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < lines.length; at += size)
    pieces.push(lines.slice(at, at + size).join("\n"));
  return pieces;
}
