import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import type { CatalogCard, CatalogModel } from "../src/api/catalog";
import type { Language } from "../src/i18n/catalogue";
import { FitPart } from "../src/models/FitPart";
import { noteOf } from "../src/models/words";
import { SettingsContext } from "../src/settings/context";
import { defaults } from "../src/settings/settings";

const said = {
  summary: "Small and quick.",
  summary_ja: "小さくて速いモデルです。",
} as CatalogModel;

describe("a model's card in Japanese", () => {
  it("has its note in Japanese where there is one", () => {
    expect(noteOf("ja", said)).toEqual({ words: "小さくて速いモデルです。", lang: "ja" });
    expect(noteOf("en", said)).toEqual({ words: "Small and quick.", lang: "en" });
    expect(noteOf("ja", { ...said, summary_ja: "" })?.lang).toBe("en"); // and is read as that
    expect(noteOf("ja", { ...said, summary: "", summary_ja: "" })).toBeNull();
    expect(noteOf("ja", null)).toBeNull();
  });

  const fit = {
    verdict: "fits",
    context: 8192,
    memory: 2e8,
    memory_available: 8e9,
    disk: 1e8,
    disk_available: 1e10,
    prefill: 900,
    decode: 40,
    words: ["It fits on this machine, says the command line."],
  };
  const card = { model: { installed: false }, fit } as CatalogCard;
  const shown = (language: Language) =>
    renderToStaticMarkup(
      <SettingsContext
        value={{
          settings: defaults(language),
          change: () => undefined,
          kept: true,
          server: "kept",
          failure: null,
          again: () => undefined,
        }}
      >
        <FitPart card={card} />
      </SettingsContext>,
    );

  it("says what to expect in figures, and the command line's words as English", () => {
    expect(shown("en")).toContain("says the command line");
    const page = shown("ja");
    expect(page).toMatch(/（英語）<\/summary><ul lang="en"[^>]*><li>[^<]*says the command line/);
    for (const figure of ["8,192", "900", "40"]) expect(page).toContain(figure);
  });
});
