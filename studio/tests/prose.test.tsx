import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { markdownBlocks } from "../src/prose/blocks";
import { Markdown } from "../src/prose/Markdown";
import { nextSentences, spoken } from "../src/chat/sentences";

const show = (text: string) => renderToStaticMarkup(<Markdown text={text} />);

describe("Markdown", () => {
  it("shows raw HTML as text", () => {
    const page = show("<script>alert(1)</script>\n\n<img src=x onerror=alert(1)> <b>hi</b>");
    expect(page).not.toMatch(/<(script|img|b)[ >]/);
    expect(page).toContain("&lt;b&gt;");
  });

  it("loads no image", () => {
    const page = show(
      "![cat](https://example.org/cat.png?secret=1) ![x](data:image/png;base64,AA)",
    );
    expect(page).not.toContain("<img");
    expect(page).toContain('href="https://example.org/cat.png?secret=1"');
    expect(page).toContain("example.org");
  });

  it.each(["javascript:alert(1)", "data:text/html,x", "vbscript:x", "JaVaScRiPt:alert(1)"])(
    "makes no link of %s",
    (address) => {
      expect(show(`[go](${address})`)).not.toContain(address);
    },
  );

  it("opens links elsewhere without telling where from", () => {
    expect(show("[a](https://example.org)")).toMatch(/target="_blank" rel="noreferrer noopener"/);
  });

  it("shows tables, task lists and code of an unclosed fence", () => {
    expect(show("|a|b|\n|-|-|\n|1|2|")).toContain("<table>");
    expect(show("- [x] done\n- [ ] open")).toMatch(/☑.*☐/s);
    expect(show("```python\nprint(1)\n")).toMatch(/python.*<pre.*print\(1\)/s);
  });
});

const TEXTS = [
  "One.\n\nTwo\nlines.\n\n\nThree.",
  "- a\n\n- b\n\n  inside\n\nafter",
  "1. a\n\n2. b\n\n3) c",
  "```js\nx\n\n\ny\n```\n\nafter\n\n~~~\n\n```\n\n~~~\n\nend",
  "> q\n\n> r\n\nplain",
  "|a|\n|-|\n|1|\n\ntext",
  "    code\n\n    more\n\ntext",
  "Steps:\n- a\n- b\n\nThen:\n1. c\n\n2. d\nlazy\n\n| a |\n|---|\n| 1 |\n\n- z",
  "words\n\n    code\n\n    more\n\n> q\n\n- a\n\n> r",
  "\\[\nx\n- y\n\\]\n\n12 days\n\n3 more\n\n-5 degrees\n\n---\n\n+ a",
  "- a\n\n    inside\n\n  > quoted\n\n+ other\n\n* * *\n\n2024. A year",
  "see [x]\n\n[x]: https://example.org\n\nmore",
  "note[^1]\n\n[^1]: words\n\nmore",
  "# 見出し\n\n本文。\n\n---\n\n終わり",
  "",
];

describe("markdownBlocks", () => {
  it.each(TEXTS)("loses nothing of %j", (text) => {
    expect(markdownBlocks(text).join("\n")).toBe(text);
  });

  it("gives the same page as one piece would", () => {
    const plain = (html: string) =>
      html
        .replace(/^<div[^>]*>|<\/div>$/g, "")
        .replace(/_[^"]*_/g, "")
        .replace(/\s+/g, " ");
    for (const text of TEXTS) {
      const whole = plain(show(`${text}\n\n[never-used]: https://example.org`)); // is left whole
      expect(plain(show(text)).replace(/> </g, "><"), text).toBe(whole.replace(/> </g, "><"));
    }
  });

  it.each(TEXTS.filter((text) => !text.includes("]:")))(
    "leaves finished blocks as they are while %j grows",
    (text) => {
      for (let end = 1; end <= text.length; end += 1) {
        const before = markdownBlocks(text.slice(0, end - 1)).slice(0, -1);
        expect(markdownBlocks(text.slice(0, end)).slice(0, before.length)).toEqual(before);
      }
    },
  );
});

describe("nextSentences", () => {
  it("waits for the end of a sentence, in both languages", () => {
    expect(nextSentences("Hello the", 0)).toBe("");
    expect(nextSentences("Pi is 3.14", 0)).toBe("");
    expect(nextSentences("Hello there. And", 0)).toBe("Hello there.");
    expect(nextSentences("こんにちは。元気", 0)).toBe("こんにちは。");
    expect(nextSentences("a. b. c", 2)).toBe(" b.");
  });
});

describe("spoken", () => {
  it("keeps what screen readers are given to what a person would hear out", () => {
    expect(spoken("Hello there.")).toBe("Hello there.");
    expect(spoken(`${"a".repeat(5_000_000)} The end.`)).toMatch(/^a{1700} … a+ The end\.$/);
    expect(spoken(`e${"\u0301".repeat(1000)}`).length).toBeLessThan(20);
  });
});
