/** How lines of thought voted, as the server writes it. */
export interface Vote {
  /** The answer that won; null where none came to one. */
  answer: string | null;
  /** Most first. */
  votes: readonly (readonly [string, number])[];
  without: number;
  paths: number;
  /** Share of all lines of thought, 0 to 1. */
  confidence: number;
  tie: boolean;
}

/** The vote in a step's content; null where there is none. */
export function readVote(content: string): Vote | null {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const told = value as Record<string, unknown>;
  const { answer, votes, without_answer: without, paths, confidence, tie } = told;
  if (typeof votes !== "object" || votes === null || Array.isArray(votes)) return null;
  const counted = Object.entries(votes as Record<string, unknown>);
  const isVote = (each: [string, unknown]): each is [string, number] => isNumber(each[1]);
  if (!counted.every(isVote)) return null;
  if (!isNumber(without) || !isNumber(paths) || !isNumber(confidence)) return null;
  const won = typeof answer === "string" ? answer : null;
  // Numbers as keys come in order of their size, whatever was written first.
  const first = (each: readonly [string, number]) => (each[0] === won ? 1 : 0);
  const order = [...counted].sort((a, b) => b[1] - a[1] || first(b) - first(a));
  return {
    answer: won,
    votes: order,
    without,
    paths,
    confidence,
    tie: tie === true,
  };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
