import type { Draft } from "./draft";
import { freshRow } from "./rows";
import type { Setup } from "./bench";

/** In English in every language: the small model that comes along speaks no other. */
export const EXAMPLE: Draft = {
  name: "explain",
  text: "Explain {{thing}} to {{reader}} in two short sentences.",
  note: "",
};

const VALUES = [
  { thing: "a rainbow", reader: "a child" },
  { thing: "gravity", reader: "an engineer" },
];

/** What a bench begins with: one way of asking, and the usual short answers. */
export function begun(model: string, example: boolean): Setup {
  return {
    columns: [
      { id: "c1", model, technique: null, options: {}, tools: [], version: null },
      ...(example
        ? [
            {
              id: "c2",
              model,
              technique: "chain-of-thought",
              options: {},
              tools: [],
              version: null,
            },
          ]
        : []),
    ],
    rows: example ? VALUES.map((values) => freshRow(values)) : [freshRow()],
    repeats: 1,
    temperature: null,
    maxTokens: 200,
  };
}
