import type { Element, ElementContent, Root, RootContent, Text } from "hast";
import type { ReactElement } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import remarkMath from "remark-math";
import type { PluggableList } from "unified";

import { mathematics } from "./dollars";
import { turning } from "./tame";

/** Which part of what was parsed is wanted: all, or the insides of its one table or list. */
export type Part = "all" | "head" | "rows" | "items" | "loose items";

/** Deepest tree that is shown; the browser's own layout goes down it level by level. */
const DEEPEST = 100;

/**
 * Markdown as elements, or null when it cannot be taken (nested too deeply).
 *
 * `name` sets the addresses of footnotes apart from those of other blocks.
 */
export function parsed(
  text: string,
  part: Part,
  name: string,
  components: Components,
): ReactElement | null {
  try {
    // Called and not rendered: it uses no hooks, and what it throws can be caught here.
    return ReactMarkdown({
      children: mathematics(text),
      remarkPlugins: part === "loose items" ? [...PLUGINS, loosened] : PLUGINS,
      rehypePlugins: [shallow, signs, ...(INSIDES[part] ?? [])],
      remarkRehypeOptions: { clobberPrefix: `${name}-`, footnoteLabel: "—" },
      components,
    });
  } catch (error) {
    // RangeError: the parser's own recursion went too deep before the tree could be measured.
    if (error instanceof RangeError || error instanceof TooDeepError) return null;
    throw error;
  }
}

const PLUGINS: PluggableList = [
  remarkGfm,
  [remarkMath, { singleDollarTextMath: false }],
  openFormulas,
];

class TooDeepError extends Error {}

/** Refuses trees that are too deep, walking them without recursion. */
function shallow() {
  return (tree: Root): void => {
    let level: readonly RootContent[] = tree.children;
    for (let depth = 0; level.length > 0; depth += 1) {
      if (depth > DEEPEST) throw new TooDeepError();
      level = level.flatMap((node) => (node.type === "element" ? node.children : []));
    }
  };
}

/** Writes signs that turn the direction of writing out, so that they are seen and do nothing. */
function signs() {
  return (tree: Root): void => {
    const inside = (parent: Root | Element): void => {
      parent.children = (parent.children as ElementContent[]).flatMap((node) => {
        if (node.type === "element") inside(node);
        const pieces = node.type === "text" ? turning(node.value) : null;
        if (!pieces) return [node];
        return pieces.map((piece): ElementContent =>
          "sign" in piece
            ? {
                type: "element",
                tagName: "span",
                properties: { className: ["sign"] },
                children: [{ type: "text", value: piece.sign }],
              }
            : { type: "text", value: piece.text },
        );
      });
    };
    inside(tree);
  };
}

/** Marks the formulas that nothing closes yet, and gives them all that was written of them. */
function openFormulas() {
  return (tree: MarkdownNode, file: { toString(): string }): void => {
    const text = String(file);
    let level: readonly MarkdownNode[] = [tree];
    while (level.length > 0) {
      for (const { type, meta, value, data, position } of level) {
        const code = type === "math" ? data?.hChildren?.[0] : undefined;
        const written = text.slice(position?.start.offset, position?.end.offset);
        if (!code || CLOSED.test(written)) continue;
        code.properties.className = ["math-display", "math-open"];
        const lines = [meta, value].filter((each) => each !== null && each !== "");
        code.children = [{ type: "text", value: lines.join("\n") }];
      }
      level = level.flatMap((node) => node.children ?? []);
    }
  };
}

/** A formula whose last line closes it, also in a quotation. */
const CLOSED = /\n[ \t>]*\${2,}[ \t]*$/;

interface MarkdownNode {
  type: string;
  children?: readonly MarkdownNode[];
  /** Of a formula: what stands right behind the signs that open it, and the lines below. */
  meta?: string | null;
  value?: string;
  data?: { hChildren?: { properties: { className: string[] }; children: Text[] }[] };
  position?: { start: { offset?: number }; end: { offset?: number } };
}

interface MarkdownTree {
  children: { type: string; spread?: boolean; children?: { spread?: boolean }[] }[];
}

/** One empty line between items sets all of them apart, also those of the other pieces. */
function loosened() {
  return (tree: MarkdownTree): void => {
    for (const list of tree.children) {
      if (list.type !== "list") continue;
      list.spread = true;
      for (const item of list.children ?? []) item.spread = true;
    }
  };
}

const insides = (...names: string[]) => [
  () =>
    (tree: Root): void => {
      for (const name of names) {
        const found = tree.children.find(
          (node): node is Element => node.type === "element" && node.tagName === name,
        );
        tree.children = found ? found.children : [];
      }
    },
];

const INSIDES: Partial<Record<Part, PluggableList>> = {
  head: insides("table", "thead"),
  rows: insides("table", "tbody"),
};
const listed = [
  () =>
    (tree: Root): void => {
      tree.children = tree.children.flatMap((node) =>
        node.type === "element" && (node.tagName === "ul" || node.tagName === "ol")
          ? node.children
          : [node],
      );
    },
];
INSIDES["items"] = listed;
INSIDES["loose items"] = listed;
