import { describe, expect, it } from "vitest";

import type { CatalogModel } from "../src/api/catalog";
import type { Model } from "../src/api/models";
import { en } from "../src/i18n/en";
import { ja } from "../src/i18n/ja";
import { canChat, entriesOf, sizeClass, type Entry } from "../src/models/entries";
import { choicesOf, chosen, matches, readFilter, writeFilter } from "../src/models/filter";
import { meaning, tokensOfTaste } from "../src/models/trying";
import { languageName, languageNames, parametersOf, purposeOf } from "../src/models/words";

function card(name: string, part: Partial<CatalogModel> = {}): CatalogModel {
  return {
    name,
    title: name,
    family: "llama",
    task: "chat",
    languages: ["en", "ja"],
    licence: "MIT",
    terms: null,
    parameters: null,
    context_length: 100,
    size: 1e9,
    download: 1e9,
    source: `hf:x/${name}`,
    summary: "",
    summary_ja: "",
    installed: false,
    loaded: false,
    chats: null,
    problem: "",
    verdict: "fits",
    job: null,
    ...part,
  };
}

function answering(id: string, loaded: boolean): Model {
  return { id, object: "model", created: 1, owned_by: "x", loaded, max_model_len: 50 } as Model;
}

describe("the list of models", () => {
  it("joins the catalogue with what answers, and leaves out neither", () => {
    const found = entriesOf(
      [card("a", { installed: true }), card("b")],
      [answering("a", true), answering("hosted", false)],
    );
    expect(found.map((one) => [one.name, one.here, one.loaded, one.context])).toEqual([
      ["a", true, true, 50],
      ["b", false, false, 100],
      ["hosted", true, false, 50],
    ]);
    expect(found.map(canChat)).toEqual([true, false, true]);
  });

  it("classes sizes, and says where none is known", () => {
    const classes = [5e8, 5e8 + 1, 8e9, 9e9, null].map((size) =>
      sizeClass(entriesOf([card("a", { size, download: null })], [])[0] as Entry),
    );
    expect(classes).toEqual(["small", "medium", "large", "huge", "unknown"]);
  });
});

describe("the filters", () => {
  const line = entriesOf(
    [card("Qwen2.5-7B", { title: "Qwen seven", task: "code" })],
    [],
  )[0] as Entry;
  const match = (query: string) => matches(line, readFilter(new URLSearchParams(query)));

  it("are read from the address, nonsense too", () => {
    expect(match("")).toBe(true);
    expect(match("where=elsewhere&fits=yes")).toBe(true);
    expect(match("task=code&language=ja&size=medium&where=absent&fits=1")).toBe(true);
    expect(match("task=chat")).toBe(false);
    expect(match("where=here")).toBe(false);
    expect(match("language=fr")).toBe(false);
  });

  it.each(["licence", "family", "size"] as const)(
    "choose by %s, and leave out the others",
    (name) => {
      const own = { licence: "MIT", family: "llama", size: "medium" }[name];
      const other = { licence: "Apache-2.0", family: "qwen2", size: "large" }[name];
      expect(match(`${name}=${own}`)).toBe(true);
      expect(match(`${name}=${other}`)).toBe(false);
    },
  );

  it("leave out what has no card where a licence or a family is chosen", () => {
    const [hosted] = entriesOf([], [answering("hosted", false)]);
    for (const query of ["licence=MIT", "family=llama"])
      expect(matches(hosted as Entry, readFilter(new URLSearchParams(query)))).toBe(false);
  });

  it("find names whatever their case, width and order of words", () => {
    expect(match("q=7b qwen")).toBe(true);
    expect(match(`q=${encodeURIComponent("ＱＷＥＮ　seven")}`)).toBe(true);
    expect(match("q=qwen3")).toBe(false);
  });

  it("do not take what fits nobody knows where for fitting", () => {
    const [unknown] = entriesOf([], [answering("hosted", false)]);
    expect(matches(unknown as Entry, readFilter(new URLSearchParams("fits=1")))).toBe(false);
  });

  it("write only what chooses, and leave the rest of the address", () => {
    const next = writeFilter(new URLSearchParams("task=code&other=1"), { task: null, fits: true });
    expect(next.toString()).toBe("other=1&fits=1");
    expect(chosen(readFilter(next))).toBe(1);
  });

  it("offer what there is", () => {
    const choices = choicesOf(entriesOf([card("a"), card("b", { licence: null })], []));
    expect(choices.licence).toEqual(["MIT"]);
    expect(choices.size).toEqual(["medium"]);
  });
});

describe("words about models", () => {
  it("say what a model is for, the reader's own language first", () => {
    const shown = card("a", { task: "base", languages: ["en", "zh", "ja"] });
    expect(purposeOf(en, "en", shown)).toBe(
      "Continues text; does not converse (English, Chinese, Japanese)",
    );
    expect(purposeOf(ja, "ja", shown)).toContain("（日本語、英語、中国語）");
    expect(purposeOf(en, "en", card("a", { task: "dreams", languages: [] }))).toBe("dreams");
  });

  it("count languages that would make the line long, and survive codes of none", () => {
    expect(languageNames(en, "en", ["de", "fr", "it", "pt", "hi"])).toMatch(/, 1 more$/);
    expect(languageName("en", "not a code")).toBe("not a code");
  });

  it("write parameters as people say them", () => {
    expect([135e6, 1.54e9, 70e9].map((one) => parametersOf("en", one))).toEqual([
      "135M",
      "1.5B",
      "70B",
    ]);
  });
});

describe("a taste", () => {
  it("leaves half of a small context to the question", () => {
    expect([null, 8192, 512, 1].map(tokensOfTaste)).toEqual([512, 512, 256, 1]);
  });

  it("reads the words of a completion where they stand", () => {
    const event = (data: string) => ({ event: "message", data });
    expect(meaning(event('{"choices":[{"text":"a tale","finish_reason":null}]}'))).toEqual([
      { type: "text", text: "a tale" },
    ]);
    expect(meaning(event('{"choices":[{"text":"","finish_reason":"stop"}]}'))).toEqual([
      { type: "finish", reason: "stop" },
    ]);
    expect(meaning(event("[DONE]"))).toEqual([{ type: "end" }]);
    expect(() => meaning(event("<html>"))).toThrow();
  });
});
