import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { markdownBlocks } from "../src/prose/blocks";
import { mathematics } from "../src/prose/dollars";
import { colour } from "../src/prose/languages";
import { Markdown } from "../src/prose/Markdown";
import { shapeOf } from "../src/prose/shapes";
import { plainLine, tame } from "../src/prose/tame";

const show = (text: string) => renderToStaticMarkup(<Markdown text={text} />);
const words = (html: string) => html.replace(/<[^>]+>/g, "");

/** Output made to break a page: each is shown, and the parser neither hangs nor overflows. */
const HOSTILE: [string, string, RegExp][] = [
  ["5 MB in one line", "a".repeat(5_000_000), /long/],
  ["quotes in quotes", "> ".repeat(9000) + "deep", /nested/],
  ["items in items", "- ".repeat(9000) + "deep", /nested/],
  [
    "items below items",
    Array.from({ length: 120 }, (_, at) => `${"  ".repeat(at)}- x`).join("\n"),
    /nested/,
  ],
  ["brackets", "[".repeat(9000) + "x" + "]".repeat(9000), /tangled/],
  ["stars and underscores", "*_".repeat(9000) + "a", /tangled/],
  ["emphasis in emphasis", "*a **b ".repeat(700) + "c** d*".repeat(700), /\*a|<em>/],
  ["backticks", Array.from({ length: 150 }, (_, at) => "`".repeat(at + 1)).join(" "), /`/],
  [
    "a table of 10,000 columns",
    `${"|a".repeat(10_000)}|\n${"|-".repeat(10_000)}|\n`,
    /long|tangled/,
  ],
  ["a list with a tangled item", `${"- a\n".repeat(60)}- ${"*_".repeat(4000)}`, /tangled/],
  [
    "a table with a tangled row",
    `|a|\n|-|\n${"|a|\n".repeat(200)}|${"*_".repeat(4000)}|`,
    /tangled/,
  ],
  ["an unclosed fence", "```\n" + "never closed\n".repeat(5000), /<pre/],
  ["dollars", "$$a".repeat(5000), /a/],
  ["dollars, single", "$a ".repeat(6000), /\$a/],
  ["empty lines", "\n".repeat(100_000) + "end", /end/],
  ["images in images", "![".repeat(1200) + "x" + "](y)".repeat(1200), /tangled/],
];

describe("output made to break the page", () => {
  it.each(HOSTILE)("is shown: %s", (_, text, expected) => {
    expect(show(text)).toMatch(expected);
  });

  it("keeps a table of 10,000 rows to its first ones, with a button for the others", () => {
    const rows = Array.from({ length: 10_000 }, (_, at) => `| ${at} | b |`);
    const page = show(["| n | b |", "|---|---|", ...rows].join("\n"));
    expect(page.match(/<tr>/g)).toHaveLength(201);
    expect(page).toContain("Show all 10,000 rows");
    expect(page.match(/<table>/g)).toHaveLength(1);
  });

  it("takes towers of marks down, and says how many", () => {
    const page = show(`e${"\u0301".repeat(1_000_000)} x`);
    expect(page.length).toBeLessThan(1000);
    expect(page).toMatch(/199,991 stacked marks/); // of what is shown at first
    expect(tame("é が ệ ỗ נִקּוּד").left).toBe(0);
  });

  it("writes signs out that turn the direction of writing", () => {
    const page = show("before \u202egnp.exe\u202c after **\u202dx**");
    expect(page).not.toMatch(/[\u202a-\u202e]/);
    expect(page).toContain('<span class="sign">RLO</span>');
    const code = show("```c\nif (x) {\u2067 /* y */\n```");
    expect(code).toContain('<span class="sign">RLI</span>');
    expect(plainLine("a\u202eb")).toBe("a[RLO]b");
    expect(show("שלום \u2067עולם\u2069")).toContain("\u2067"); // honest in prose
  });

  it("makes no element of raw HTML in any shape of block", () => {
    const evil = "<script>alert(1)</script><style>*{}</style><iframe src=x></iframe>";
    for (const text of [
      evil,
      `> ${evil}`,
      `- ${evil}\n`.repeat(60),
      `|${evil}|b|\n|-|-|\n${`|${evil}|b|\n`.repeat(200)}`,
      `# ${evil}`,
      "```html\n" + evil,
    ])
      expect(show(text)).not.toMatch(/<(script|style|iframe)/);
  });

  it("opens no address that runs or carries a page", () => {
    for (const address of ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc"])
      for (const text of [`[go](${address})`, `<${address}>`, `[go][1]\n\n[1]: ${address}`])
        expect(show(text)).not.toContain(`href="${address.slice(0, 4)}`);
  });
});

describe("long lists and tables", () => {
  const list = (mark: (at: number) => string, gap = "\n") =>
    Array.from({ length: 90 }, (_, at) => `${mark(at)} item **${at}**\n  more`).join(gap);
  const flat = (html: string) => html.replace(/^<div[^>]*>|<\/div>$/g, "").replace(/\s+/g, "");

  it.each([
    ["bullets", list(() => "-")],
    ["numbers", list((at) => `${at + 3}.`)],
    ["bullets set apart", list(() => "*", "\n\n")],
  ])("are the same in pieces as in one: %s", (_, text) => {
    expect(shapeOf(text).kind).toBe("list");
    const whole = show(`${text}\n\n[never-used]: https://example.org`);
    expect(flat(show(text))).toBe(flat(whole));
  });

  it("are the same in pieces as in one: a table", () => {
    const rows = Array.from({ length: 120 }, (_, at) => `| ${at} | \`b\` \\| c |`);
    const text = ["| n | b |", "|--:|---|", ...rows].join("\n");
    const whole = show(`${text}\n\n[never-used]: https://example.org`);
    expect(flat(show(text)).replaceAll("</tbody><tbody>", "")).toBe(flat(whole));
  });

  it("give finished pieces unchanged while they grow", () => {
    const text = list(() => "-");
    const pieces = (end: number) => {
      const shape = shapeOf(text.slice(0, end));
      return shape.kind === "list" ? shape.items : [];
    };
    for (let end = 1000; end < text.length; end += 37) {
      const before = pieces(end - 37).slice(0, -1);
      expect(pieces(end).slice(0, before.length)).toEqual(before);
    }
  });

  it.each([
    "- a\n".repeat(40) + "# no item\n" + "- a\n".repeat(40),
    "- a\n".repeat(40) + "---\n" + "- a\n".repeat(40),
    "- a\n".repeat(40) + "* a\n".repeat(40),
    "- a\n".repeat(40) + "> q\n",
  ])("are left whole where something else stands among them", (text) => {
    expect(shapeOf(text).kind).toBe("text");
  });
});

describe("code", () => {
  it("stands apart from words without an empty line between", () => {
    const text = "Here:\n```python\nprint(1)\n```\nafter\n\n```\nno end";
    expect(markdownBlocks(text)).toEqual([
      "Here:",
      "```python\nprint(1)\n```",
      "after\n",
      "```\nno end",
    ]);
  });

  it("of a fence within an item stays there", () => {
    expect(show("- a\n  ```js\n  x\n  ```\n- b")).toMatch(/<li>a.*<figure.*x.*<\/li>/s);
  });

  it("is coloured by its language, and by none that is unknown", () => {
    expect(JSON.stringify(colour("def f(): return 1", "python"))).toContain("hljs-keyword");
    expect(JSON.stringify(colour("let x = 1", "TS"))).toContain("hljs-keyword");
    expect(colour("x", "klingon")).toBeNull();
  });
});

describe("mathematics", () => {
  it.each([
    ["\\(a_b*c*\\)", "$$a_b*c*$$"],
    ["so $x^2$ is", "so $$x^2$$ is"],
    ["\\[\nx\n- y\n\\]", "$$\nx - y\n$$"],
    ["> \\[ x \\]", "$$\n> x\n> $$"],
    ["where $$x$$ is", "where $$\\displaystyle x$$ is"],
  ])("of %j is written %j", (text, expected) => {
    expect(mathematics(text).replace(/^> /, "")).toBe(expected);
  });

  it.each([
    "It costs $5 and $10.",
    "US$5, A$ 7 and $x",
    "`\\(a\\)` and ``$x$``",
    "\\\\(a\\\\)",
    "a \\$x\\$ b",
    "$x\n\ny$",
  ])("is not seen in %j", (text) => {
    expect(mathematics(text)).toBe(text);
  });

  it("stands as its source until it is drawn, also in lists and tables", () => {
    const page = show("- \\(a_1\\)\n\n|x|\n|-|\n|$y^2$|\n\n```math\nz\n```");
    expect(words(page)).toMatch(/a_1.*y\^2.*z/s);
    expect(page.match(/class="formula/g)).toHaveLength(3);
    expect(page).not.toContain("$");
  });
});
