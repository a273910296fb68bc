import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { en } from "../src/i18n/en";
import { bytes, count, decimal } from "../src/i18n/format";
import { ja } from "../src/i18n/ja";

type Leaf = string | ((...values: string[]) => string);

/** Every text with its place, functions called with marks in place of their values. */
function leaves(value: object, at = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, inner] of Object.entries(value) as [string, Leaf | object][]) {
    const place = at === "" ? name : `${at}.${name}`;
    if (typeof inner === "string") found.set(place, inner);
    else if (typeof inner === "function")
      found.set(place, inner(...["‹1›", "‹2›"].slice(0, inner.length)));
    else for (const [key, text] of leaves(inner, place)) found.set(key, text);
  }
  return found;
}

const english = leaves(en);
const japanese = leaves(ja);

/** The same in both languages: names, and example prompts for an English model. */
const SHARED = /^(product|chat\.promptsSmall\.\d+|settings\.topP)$/;

describe("the catalogue", () => {
  it("has the same keys in both languages", () => {
    expect([...japanese.keys()].sort()).toEqual([...english.keys()].sort());
  });

  it("leaves nothing empty or untranslated", () => {
    for (const [place, text] of japanese) {
      expect(text.trim(), place).not.toBe("");
      if (SHARED.test(place)) expect(text).toBe(english.get(place));
      else if (!/^[‹›\d\s./(){}]+$/.test(text))
        expect(text, place).toMatch(/[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u);
    }
    for (const [place, text] of english) {
      expect(text.trim(), place).not.toBe("");
      expect(text, place).not.toMatch(/[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u);
    }
  });

  it("says every value that it is given, in both", () => {
    for (const [place, text] of english) {
      const marks = (words: string) => new Set(words.match(/‹\d›/g));
      expect(marks(japanese.get(place) ?? ""), place).toEqual(marks(text));
    }
  });

  it("holds nothing that no page says", () => {
    const sources = readdirSync("src", { recursive: true, encoding: "utf-8" })
      .filter((name) => /\.tsx?$/.test(name) && !name.startsWith("i18n"))
      .map((name) => readFileSync(join("src", name), "utf-8"));
    /** Whether a page says it in full, or by a section that it calls `words`. */
    const says = (source: string, name: string) => {
      const [, section = "", last = ""] = /^(.*)\.([^.]+)$/.exec(name) ?? [];
      const has = (pattern: string) => new RegExp(pattern).test(source);
      return (
        has(`(text|words)\\.${name}\\b`) ||
        has(`\\)\\.${name}\\b`) ||
        (has(`words = text\\.${section};`) && has(`words\\.${last}\\b`))
      );
    };
    // Asked for by a name that comes from the server (text.error[kind]), or by a piece of two pages.
    const computed =
      /^(error\.\w+\.|nav\.(use|run|make|chat|assistants|prompts|models|tokenizers|training)$|mcp\.states\.|finish\.|wait\.|jobs\.(kinds|states|stages|units|why|levels)\.|models\.(verdicts|tasks|purposes|fit|filters\.sizes|try)\.|branches\.(reply|question)\.|(assistants|prompts)\.missing(Why)?$|assistants\.(draws|approvals|progress)\.|steps\.(kinds|state|allowedBy)\.|training\.(objectives|learns|states|measures|units|form\.(sources|fields))\.)/;
    for (const place of english.keys()) {
      const name = place.replace(/\.\d+$/, "");
      if (!computed.test(name))
        expect(
          sources.some((source) => says(source, name)),
          place,
        ).toBe(true);
    }
  });

  it("speaks calmly: no exclamation marks, no emoji", () => {
    for (const texts of [english, japanese])
      for (const [place, text] of texts)
        expect(text, place).not.toMatch(/[!！]|\p{Extended_Pictographic}|oops/iu);
  });
});

describe("numbers", () => {
  it("are written as people read them", () => {
    expect(count("en", 12345)).toBe("12,345");
    expect(decimal("ja", 31.25)).toBe("31.3");
    expect(bytes("en", 98362432)).toBe("98.4 MB");
    expect(bytes("en", 7)).toBe("7 B");
  });
});
