import { describe, expect, it } from "vitest";

import { fromValues, keptNames, toValues } from "../src/settings/kept";
import { defaults, sameSampling, withPreset } from "../src/settings/settings";

const here = { ...defaults("en"), key: "secret-key", system: "Be brief." };

describe("what the server keeps", () => {
  it("is never the key", () => {
    expect(keptNames({ key: "x" })).toEqual([]);
    const all = keptNames(here);
    expect(all).not.toContain("key");
    expect(JSON.stringify(toValues(here, all))).not.toContain("secret-key");
  });

  it("comes back as it went", () => {
    const sampling = { temperature: 0.3, topP: null, maxTokens: 9 };
    const changed = {
      ...here,
      language: "ja" as const,
      theme: "dark" as const,
      enterSends: false,
      model: "m",
      sampling,
      presets: [{ name: "正確", sampling }],
      dismissed: ["a"],
    };
    const values = toValues(changed, keptNames(changed));
    const there = { ...defaults("en"), key: "other-key" };
    expect(fromValues(there, values, new Set())).toEqual({ ...changed, key: "other-key" });
  });

  it("removes what is empty", () => {
    expect(toValues({ ...here, system: "", model: null }, ["system", "model"])).toEqual({
      system: null,
      model: null,
    });
  });

  it("does not undo what it has not been told yet, or never heard of", () => {
    const values = { system: "Old.", theme: "dark" };
    const now = fromValues({ ...here, model: "m" }, values, new Set(["system"]));
    expect([now.system, now.theme, now.model, now.key]).toEqual([
      "Be brief.",
      "dark",
      "m",
      "secret-key",
    ]);
  });

  it("is read as carefully as a file", () => {
    const values = { language: "xx", theme: [], enter_sends: "no", presets: { a: 1 }, model: 7 };
    const now = fromValues(here, values, new Set());
    expect(now).toEqual({ ...here, language: "en", presets: [], model: null, enterSends: true });
  });
});

describe("presets", () => {
  const hot = { temperature: 1.5, topP: null, maxTokens: null };
  const cold = { ...hot, temperature: 0 };

  it("have one meaning for a name", () => {
    const two = withPreset(withPreset([], { name: "b", sampling: hot }), {
      name: "a",
      sampling: cold,
    });
    expect(two.map((preset) => preset.name)).toEqual(["a", "b"]);
    const changed = withPreset(two, { name: "b", sampling: cold });
    expect(changed).toHaveLength(2);
    expect(changed.every((preset) => sameSampling(preset.sampling, cold))).toBe(true);
  });
});
