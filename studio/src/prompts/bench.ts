import type { PromptAnswer, PromptVersion, RunBody, RunEvent } from "../api/prompts";
import type { Failure } from "../api/errors";
import type { Step } from "../steps/arrange";
import type { Row } from "./rows";
import { valueOf, variablesOf } from "./template";

/** One way of asking. */
export interface Column {
  id: string;
  model: string;
  /** Name of the technique; null for none. */
  technique: string | null;
  options: Readonly<Record<string, unknown>>;
  tools: readonly string[];
  /** Number of a version; null for what is written now. */
  version: number | null;
}

/** What a bench asks beside its inputs; kept in this browser. */
export interface Setup {
  columns: readonly Column[];
  rows: readonly Row[];
  repeats: number;
  temperature: number | null;
  maxTokens: number | null;
}

export const MOST_REPEATS = 5;
export const MOST_COLUMNS = 8;

/** One answer, as it grows. */
export interface Answer {
  state: "queued" | "asking" | "ended" | "stopped" | "failed";
  text: string;
  reasoning: string;
  steps: readonly Step[];
  progress: { stage: "queued" | "loading" | "reading"; done: number; total: number | null } | null;
  finish: string;
  tokens: number | null;
  /** Seconds. */
  took: number | null;
  /** US dollars; null where no price is known. */
  dollars: number | null;
  /** Of `performance.now()`; null before it is asked. */
  askedAt: number | null;
  /** Under which the server keeps it; null where it does not. */
  kept: string | null;
  failure: Failure | null;
}

export const QUEUED: Answer = {
  state: "queued",
  text: "",
  reasoning: "",
  steps: [],
  progress: null,
  finish: "",
  tokens: null,
  took: null,
  dollars: null,
  askedAt: null,
  kept: null,
  failure: null,
};

/** Where an answer stands. */
export function cellKey(column: string, row: string): string {
  return `${column} ${row}`;
}

export function heard(answer: Answer, event: RunEvent, now: number): Answer {
  const seconds = answer.askedAt === null ? 0 : (now - answer.askedAt) / 1000;
  switch (event.type) {
    case "progress":
      return { ...answer, progress: progressOf(event) };
    case "step":
      return { ...answer, steps: [...answer.steps, stepOf(event, seconds)] };
    case "reasoning":
      return { ...answer, reasoning: answer.reasoning + (event.text ?? "") };
    case "delta":
      return { ...answer, text: answer.text + (event.text ?? "") };
    case "answer":
      return {
        ...answer,
        text: event.text ?? answer.text,
        finish: event.finish ?? "",
        tokens: tokensOf(event.usage),
        took: event.took ?? seconds,
        dollars: event.dollars ?? null,
        kept: event.answer ?? null,
      };
    default:
      return answer;
  }
}

function progressOf({ stage, done, total }: RunEvent): Answer["progress"] {
  if (stage !== "queued" && stage !== "loading" && stage !== "reading") return null;
  return { stage, done: done ?? 0, total: total ?? null };
}

/** Longest line of a step; what is longer is its content. */
const LINE = 200;

function stepOf({ name, detail, call, content, tokens }: RunEvent, at: number): Step {
  const line = detail ?? "";
  const whole = content ?? "";
  const long = whole === "" && (name === "tree" || line.length > LINE || line.includes("\n"));
  return {
    name: name ?? "",
    line: long ? (line.split("\n", 1)[0] ?? "").slice(0, LINE) : line,
    content: long ? line : whole,
    left: 0,
    call: call ?? "",
    at,
    tokens: tokens ?? 0,
  };
}

/** Read and drawn, with all inner calls; null where nobody counted. */
export function tokensOf(usage: RunEvent["usage"]): number | null {
  if (!usage) return null;
  const { prompt, completion } = usage;
  return prompt === null && completion === null ? null : (prompt ?? 0) + (completion ?? 0);
}

/** A prompt as it is on the page: what is kept, and what is written now. */
export interface Written {
  /** Null for what is not made yet. */
  id: string | null;
  text: string;
  versions: readonly PromptVersion[];
}

/** The version that a column asks with; null for words that are no version. */
export function versionOf(column: Column, written: Written): PromptVersion | null {
  const { versions, text } = written;
  if (column.version !== null)
    return versions.find(({ number }) => number === column.version) ?? null;
  return versions.findLast((one) => one.text === text) ?? null;
}

/** The row of a prompt without variables. */
export const ALONE: Row = { id: "-", values: {} };

/** The inputs that are asked: where no way has variables, the text as it is. */
export function rowsOf({ columns, rows }: Setup, written: Written): readonly Row[] {
  const some = columns.some(
    (column) => variablesOf(versionOf(column, written)?.text ?? written.text).length > 0,
  );
  return some ? rows : [ALONE];
}

/** What the server is asked for one answer of a cell. */
export function requestOf(
  column: Column,
  row: Row,
  written: Written,
  setup: Pick<Setup, "temperature" | "maxTokens">,
): Partial<RunBody> {
  const version = versionOf(column, written);
  const text = version?.text ?? written.text;
  const { technique, options, tools, model } = column;
  const sampling = {
    ...(setup.temperature === null ? {} : { temperature: setup.temperature }),
    ...(setup.maxTokens === null ? {} : { max_tokens: setup.maxTokens }),
  };
  return {
    ...(version && written.id ? { prompt: written.id, version: version.number } : { text }),
    variables: valuesOf(text, row),
    model,
    ...(technique === null ? {} : { technique: { name: technique, options } }),
    ...(technique === "react" ? { tools: [...tools] } : {}),
    ...(Object.keys(sampling).length > 0 ? { sampling } : {}),
  } as Partial<RunBody>;
}

function valuesOf(text: string, row: Row): Record<string, string> {
  return Object.fromEntries(
    variablesOf(text).map((name) => [name, valueOf(row.values, name) ?? ""]),
  );
}

/** Answers that the server keeps, where they stand on the bench: the newest of each cell. */
export function restored(
  setup: Setup,
  written: Written,
  answers: readonly PromptAnswer[],
): Map<string, Answer[]> {
  const found = new Map<string, Answer[]>();
  for (const column of setup.columns) {
    const version = versionOf(column, written);
    if (version === null) continue;
    for (const row of rowsOf(setup, written)) {
      const given = JSON.stringify(sorted(valuesOf(version.text, row)));
      const own = answers.filter(
        (one) =>
          one.message === null &&
          one.version === version.number &&
          one.model === column.model &&
          sameWay(one, column) &&
          JSON.stringify(sorted(one.variables)) === given,
      );
      const shown = own.slice(0, setup.repeats).reverse().map(answerOf);
      if (shown.length > 0) found.set(cellKey(column.id, row.id), shown);
    }
  }
  return found;
}

function sameWay({ technique }: PromptAnswer, column: Column): boolean {
  if (technique === null || column.technique === null)
    return technique === null && column.technique === null;
  return (
    technique.name === column.technique &&
    JSON.stringify(sorted(technique.options)) === JSON.stringify(sorted(column.options))
  );
}

function sorted(value: object): [string, unknown][] {
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function answerOf(one: PromptAnswer): Answer {
  return {
    ...QUEUED,
    state: "ended",
    text: one.text,
    finish: one.finish,
    tokens: tokensOf(one.usage),
    took: one.took ?? null,
    kept: one.id,
  };
}

/** What a column's answers come to. */
export interface Summary {
  ended: number;
  failed: number;
  tokens: number | null;
  seconds: number | null;
  /** US dollars of all together; null where a price is not known. */
  dollars: number | null;
  /** Mean share of the commonest answer of each input; null where nothing was repeated. */
  agreement: number | null;
}

export function summaryOf(cells: readonly (readonly Answer[])[]): Summary {
  const all = cells.flat();
  const ended = all.filter(({ state }) => state === "ended");
  const shares = cells
    .map((cell) => cell.filter(({ state }) => state === "ended"))
    .filter((cell) => cell.length > 1)
    .map((cell) => commonest(cell.map(({ text }) => plain(text))) / cell.length);
  return {
    ended: ended.length,
    failed: all.filter(({ state }) => state === "failed").length,
    tokens: mean(ended.map(({ tokens }) => tokens)),
    seconds: mean(ended.map(({ took }) => took)),
    dollars: sum(ended.map(({ dollars }) => dollars)),
    agreement: mean(shares),
  };
}

/** An answer for comparing: whatever its width, case, spaces and last stop. */
export function plain(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/\s+/g, " ")
    .replace(/[\s.。!?]+$/u, "")
    .trim();
}

function commonest(texts: readonly string[]): number {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return Math.max(...counts.values());
}

function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  return known.reduce((a, b) => a + b, 0) / known.length;
}

function sum(values: readonly (number | null)[]): number | null {
  if (values.length === 0 || values.some((value) => value === null)) return null;
  return values.reduce<number>((a, b) => a + (b ?? 0), 0);
}
