import { renderToStaticMarkup } from "react-dom/server";
import { expect, it, vi } from "vitest";

import { Markdown } from "../src/prose/Markdown";

const formulas = vi.hoisted(() => ({ drawn: new Set<string>(), open: new Set<string>() }));

// Formulas are drawn by the browser: here it is written down which ones would be.
vi.mock("../src/prose/Formula", () => ({
  Formula({ tex, open = false }: { tex: string; open?: boolean }) {
    (open ? formulas.open : formulas.drawn).add(tex);
    return null;
  },
}));

const STREAMED: Record<string, string> = {
  "on lines of its own": "So\n\n$$\nx = \\frac{1}{2}\n$$\n\nand on.",
  "right behind its signs": "So\n\n$$x = \\frac{1}{2}$$\n\nand on.",
  "in brackets": "So\n\n\\[\nx = \\frac{1}{2}\n\\]\n\nand on.",
  "in a quotation": "> So\n>\n> $$\n> x = \\frac{1}{2}\n> $$\n\nand on.",
  "in a list": "- So\n\n  $$\n  x = \\frac{1}{2}\n  $$\n- and on.",
  "in a fence": "So\n\n```math\nx = \\frac{1}{2}\n```\n\nand on.",
  "within a line": "So $x = \\frac{1}{2}$, and on.",
};

it.each(Object.keys(STREAMED))("draws a formula %s once, when its end has come", (where) => {
  const text = STREAMED[where] ?? "";
  formulas.drawn.clear();
  for (let end = 1; end <= text.length; end += 1)
    renderToStaticMarkup(<Markdown text={text.slice(0, end)} />);
  expect([...formulas.drawn]).toEqual(["x = \\frac{1}{2}"]);
});

it("shows all that was written of a formula whose end has not come", () => {
  formulas.open.clear();
  renderToStaticMarkup(<Markdown text={"$$x = 1 +\n\\frac{1"} />);
  expect([...formulas.open]).toEqual(["x = 1 +\n\\frac{1"]);
});
