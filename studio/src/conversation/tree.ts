import type { Id, Node } from "./types";

const TOP = "";

/** Messages by their place: who follows whom. A value; changes give another one. */
export class Tree {
  private constructor(
    private readonly nodes: ReadonlyMap<Id, Node>,
    private readonly below: ReadonlyMap<Id, readonly Id[]>,
  ) {}

  static of(nodes: readonly Node[]): Tree {
    const below = new Map<Id, Id[]>();
    for (const { id, parent } of nodes) {
      const found = below.get(parent ?? TOP);
      if (found) found.push(id);
      else below.set(parent ?? TOP, [id]);
    }
    return new Tree(new Map(nodes.map((node) => [node.id, node])), below);
  }

  get size(): number {
    return this.nodes.size;
  }

  has(id: Id): boolean {
    return this.nodes.has(id);
  }

  get(id: Id): Node | undefined {
    return this.nodes.get(id);
  }

  /** With a message put in; one that is there already stays where it is. */
  with(node: Node): Tree {
    if (this.nodes.has(node.id)) return this;
    const nodes = new Map(this.nodes).set(node.id, node);
    const parent = node.parent ?? TOP;
    const below = new Map(this.below).set(parent, [...(this.below.get(parent) ?? []), node.id]);
    return new Tree(nodes, below);
  }

  /** Without these messages. */
  without(ids: readonly Id[]): Tree {
    const gone = new Set(ids);
    return Tree.of([...this.nodes.values()].filter((node) => !gone.has(node.id)));
  }

  /** What follows a message (null: what stands at the top), oldest first. */
  after(id: Id | null): readonly Id[] {
    return this.below.get(id ?? TOP) ?? [];
  }

  /** Messages at the same place as this one, itself among them, oldest first. */
  siblings(id: Id): readonly Id[] {
    const node = this.nodes.get(id);
    return node ? this.after(node.parent) : [];
  }

  /** The branch down to a message, from the top. Ends where the tree has a gap. */
  path(to: Id | null): Id[] {
    const found: Id[] = [];
    const seen = new Set<Id>();
    let id = to;
    while (id !== null && !seen.has(id)) {
      const node = this.nodes.get(id);
      if (!node) break;
      seen.add(id);
      found.push(id);
      id = node.parent;
    }
    return found.reverse();
  }

  /** The newest message on the branch through this one. */
  newest(id: Id): Id {
    let at = id;
    for (;;) {
      const next = this.after(at).at(-1);
      if (next === undefined) return at;
      at = next;
    }
  }

  /** How many messages hang below this one. */
  countBelow(id: Id): number {
    let count = 0;
    const open = [...this.after(id)];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      count += 1;
      open.push(...this.after(next));
    }
    return count;
  }
}
