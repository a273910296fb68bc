import { describe, expect, it } from "vitest";

import { hasJapanese } from "../src/chat/japanese";
import { isSmallDefault, pickModel, type Model } from "../src/api/models";
import { readNumber } from "../src/settings/numbers";
import { defaults, parseSettings } from "../src/settings/settings";

const model = (id: string, loaded = false): Model => ({
  id,
  object: "model",
  created: 0,
  owned_by: "x",
  loaded,
  max_model_len: null,
  use: "write" as const,
});

describe("parseSettings", () => {
  it("takes the defaults for whatever it does not understand", () => {
    for (const saved of [null, "", "{", "null", "[]", "7", '{"language":"xx","theme":1}'])
      expect(parseSettings(saved, "en-GB")).toEqual(defaults("en"));
    expect(parseSettings(null, "ja-JP").language).toBe("ja");
  });

  it("reads back what was written", () => {
    const changed = {
      ...defaults("en"),
      language: "ja" as const,
      theme: "dark" as const,
      enterSends: false,
      key: "a-long-key",
      sampling: { temperature: 0, topP: 0.9, maxTokens: 64 },
      dismissed: ["small-model"],
    };
    expect(parseSettings(JSON.stringify(changed), "en")).toEqual(changed);
  });

  it("drops sampling that is out of range", () => {
    for (const sampling of [
      { temperature: 9, topP: "1", maxTokens: 0 },
      { temperature: -0.1, topP: 0, maxTokens: 1.5 },
      null,
      "hot",
    ])
      expect(parseSettings(JSON.stringify({ sampling }), "en")).toEqual(defaults("en"));
  });

  it("drops a key that no request can carry, which would look as if the server were gone", () => {
    for (const key of ["鍵", "two words", "tab\t", "", 7])
      expect(parseSettings(JSON.stringify({ key }), "en").key).toBeNull();
  });
});

describe("readNumber", () => {
  const range = { low: 0, high: 2 };
  it.each([
    ["", null],
    ["  ", null],
    ["0", 0],
    ["1.5", 1.5],
    [".5", 0.5],
    ["２", 2],
    ["１．５", 1.5],
    ["2.1", undefined],
    ["-1", undefined],
    ["1e0", undefined],
    ["NaN", undefined],
    ["0x1", undefined],
    ["1,5", undefined],
  ])("reads %j as %j", (text, value) => {
    expect(readNumber(text, range)).toBe(value);
  });

  it("keeps to whole numbers and open ends", () => {
    expect(readNumber("1.5", { ...range, whole: true })).toBeUndefined();
    expect(readNumber("0", { ...range, open: true })).toBeUndefined();
  });
});

describe("models", () => {
  it("picks the first wish there is, else one in memory, else the default, else the first", () => {
    const models = [model("a"), model("b", true), model("c")];
    expect(pickModel(models, ["c", "a"])).toBe("c");
    expect(pickModel(models, [null, "a"])).toBe("a");
    expect(pickModel(models, ["gone", null])).toBe("b");
    expect(pickModel([model("a"), model("smollm2-135m")], [])).toBe("smollm2-135m");
    expect(pickModel([model("a")], [])).toBe("a");
    expect(pickModel([], ["a"])).toBeNull();
  });

  it("knows the small default and Japanese", () => {
    expect(isSmallDefault("smollm2-135m")).toBe(true);
    expect(isSmallDefault("qwen2.5-coder-1.5b")).toBe(false);
    expect(["こ", "カ", "漢", "abcはい"].every(hasJapanese)).toBe(true);
    expect(["", "abc", "é", "안녕", "🙂"].some(hasJapanese)).toBe(false);
  });
});
