/** One input: a value for each variable. */
export interface Row {
  id: string;
  values: Readonly<Record<string, string>>;
}

/** Most inputs of a bench: more are a batch, which no page shows at a glance. */
export const MOST_ROWS = 100;

/**
 * Cells of a table as spreadsheets copy it (tabs) or as CSV: quotes hold separators and line ends,
 * two of them are one. Tabs where there is one, commas otherwise; empty lines are none.
 */
export function cellsOf(table: string): string[][] {
  const mark = table.includes("\t") ? "\t" : ",";
  const lines: string[][] = [];
  let line: string[] = [];
  let cell = "";
  let quoted = false;
  const closeLine = () => {
    line.push(cell);
    if (line.length > 1 || cell !== "") lines.push(line);
    line = [];
    cell = "";
  };
  for (let at = 0; at < table.length; at++) {
    const sign = table[at] ?? "";
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (table[at + 1] === '"') {
        cell += sign;
        at++;
      } else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === mark) {
      line.push(cell);
      cell = "";
    } else if (sign === "\n" || sign === "\r") {
      if (sign === "\r" && table[at + 1] === "\n") at++;
      closeLine();
    } else cell += sign;
  }
  closeLine();
  return lines;
}

/**
 * Values of pasted rows. A first line of nothing but names of variables says which column is
 * which; otherwise they are taken in order, beginning with `first`.
 */
export function pasted(
  table: string,
  variables: readonly string[],
  first = 0,
): Record<string, string>[] {
  const lines = cellsOf(table);
  const head = (lines[0] ?? []).map((cell) => cell.trim());
  const named = head.length > 0 && head.every((cell) => variables.includes(cell));
  const names = named ? head : variables.slice(first);
  return lines.slice(named ? 1 : 0).map((line) => {
    const values: Record<string, string> = {};
    names.forEach((name, at) => {
      const value = line[at];
      if (value !== undefined) values[name] = value;
    });
    return values;
  });
}

let made = 0;

export function freshRow(values: Readonly<Record<string, string>> = {}): Row {
  made += 1;
  return { id: `${Date.now().toString(36)}-${made}`, values };
}

/** Whether nothing is written in a row. */
export function isBlank(row: Row): boolean {
  return Object.values(row.values).every((value) => value === "");
}

/** Pasted rows behind those there are; blank ones give way to them. */
export function withPasted(
  rows: readonly Row[],
  values: readonly Record<string, string>[],
): { rows: Row[]; left: number } {
  const all = [...rows.filter((row) => !isBlank(row)), ...values.map((each) => freshRow(each))];
  if (all.length === 0) all.push(freshRow());
  return { rows: all.slice(0, MOST_ROWS), left: Math.max(0, all.length - MOST_ROWS) };
}
