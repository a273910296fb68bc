/** A tree of thoughts as the server writes it. */
export interface Thought {
  id: string;
  parent: string;
  text: string;
  /** 1 to 10; 0 where the judge gave none. */
  score: number;
  is_kept: boolean;
  is_answer: boolean;
}

export interface Tree {
  thoughts: Thought[];
  chosen: string[];
}

/** A thought with its place in the picture, in units of one step across and one level down. */
export interface Placed extends Thought {
  x: number;
  level: number;
}

/** The tree in a step's content; null where there is none. */
export function readTree(content: string): Tree | null {
  try {
    const value = JSON.parse(content) as Partial<Tree>;
    const { thoughts, chosen } = value;
    if (!Array.isArray(thoughts) || !Array.isArray(chosen)) return null;
    return thoughts.every(isThought) && chosen.every((id) => typeof id === "string")
      ? { thoughts, chosen }
      : null;
  } catch {
    return null;
  }
}

function isThought(value: unknown): value is Thought {
  if (typeof value !== "object" || value === null) return false;
  const one = value as Record<string, unknown>;
  return (
    typeof one["id"] === "string" &&
    one["id"] !== "" && // else it would stand below itself
    typeof one["parent"] === "string" &&
    typeof one["text"] === "string" &&
    typeof one["score"] === "number"
  );
}

/** Leaves side by side, and each thought above the middle of what goes on from it. */
export function placed({ thoughts }: Tree): Placed[] {
  const below = new Map<string, Thought[]>();
  for (const thought of thoughts)
    below.set(thought.parent, [...(below.get(thought.parent) ?? []), thought]);
  const found: Placed[] = [];
  let next = 0;
  const put = (thought: Thought, level: number): number => {
    const xs = (below.get(thought.id) ?? []).map((one) => put(one, level + 1));
    const x = xs.length === 0 ? next++ : ((xs[0] ?? 0) + (xs.at(-1) ?? 0)) / 2;
    found.push({ ...thought, x, level });
    return x;
  };
  for (const top of below.get("") ?? []) put(top, 1);
  return found;
}
