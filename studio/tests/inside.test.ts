import { describe, expect, it } from "vitest";

import type { Inside, Token } from "../src/api/inside";
import { beginning, cutAt, inline, level, lookers, moved, visible } from "../src/inside/pieces";

function token(what: Partial<Token>): Token {
  const plain = { id: 1, piece: "a", kind: "text", shown: "a", start: 0, whole: true } as const;
  return { ...plain, logprob: 0, rank: 1, entropy: 0, top: [], ...what };
}

function inside(text: string, what: Partial<Inside> = {}): Inside {
  return { text, words_from: 0, begun: "", tokens: [], ...what } as Inside;
}

const text = (piece: string) => ({ piece, kind: "text" as const });

describe("words to go on from", () => {
  it("counts characters as the server does, not UTF-16 units", () => {
    const at = token({ start: 4, shown: "x" });
    expect(beginning(inside("𠮷👍🏽あxyz"), at, text("い"))).toBe("𠮷👍🏽あい");
  });

  it("leaves a thought out and keeps what was begun", () => {
    const words = inside("<think>\na\n</think>\n\nb c", { words_from: 20, begun: "A" });
    expect(beginning(words, token({ start: 21, shown: " c" }), text(" d"))).toBe("Ab d");
    expect(beginning(words, token({ start: 8 }), text("z"))).toBeNull();
  });

  it("has none where the other token is no whole text, or stands inside a character", () => {
    const words = inside("あ");
    expect(beginning(words, token({}), { piece: "<0xE3>", kind: "bytes" })).toBeNull();
    expect(beginning(words, token({}), { piece: "<|end|>", kind: "control" })).toBeNull();
    expect(beginning(words, token({ whole: false }), text("b"))).toBeNull();
  });

  it("drops the space that some vocabularies put in front of a text", () => {
    const first = token({ piece: " Hello", shown: "Hello" });
    expect(beginning(inside("Hello"), first, text(" Good"))).toBe("Good");
    const real = token({ piece: " Hello", shown: " Hello" });
    expect(beginning(inside(" Hello"), real, text(" Good"))).toBe(" Good");
  });
});

describe("what is shown of a token", () => {
  it("makes blanks and line ends visible", () => {
    expect(visible("  a b \n")).toBe("␣␣a b ⏎\n");
    expect(visible("\n\n")).toBe("⏎\n⏎\n");
    expect(visible(" ")).toBe("␣");
    expect(inline("\ta\n")).toBe("⇥a⏎");
  });

  it("steps from sure to unsure", () => {
    expect([0, 0.49, 0.5, 1.5, 2.9, 3, 5, 17].map(level)).toEqual([0, 0, 1, 2, 2, 3, 4, 4]);
  });

  it("cuts a text at its control tokens", () => {
    expect(
      cutAt("<s>𠮷x</s>", [
        [0, 3],
        [5, 9],
      ]),
    ).toEqual(["", "<s>", "𠮷x", "</s>", ""]);
    expect(cutAt("plain", [])).toEqual(["plain"]);
  });
});

describe("tokens that look back", () => {
  const control = token({ piece: "<|x|>", kind: "control" });
  const shown = (tokens: Token[], total = tokens.length) => lookers(inside("", { tokens, total }));

  it("stay at the places that the server counts, control tokens among them", () => {
    const [a, b] = [token({ piece: "a" }), token({ piece: "b" })];
    expect(shown([a, control, b])).toEqual([a, control, b]);
    expect(shown([a, control, b, control])).toEqual([a, control, b]);
    expect(shown([control])).toEqual([]);
  });

  it("end with a control token only where more of the reply follows", () => {
    const first = [token({}), control];
    expect(shown(first, 3)).toEqual(first);
  });
});

it("leads through the tokens by the arrow keys", () => {
  const line = (down: boolean) => (down ? 7 : 2);
  const to = (key: string, at: number) => moved(key, at, 10, line);
  expect(to("ArrowLeft", 0)).toBe(0);
  expect(to("ArrowRight", 9)).toBe(9);
  expect(to("ArrowRight", 3)).toBe(4);
  expect(to("ArrowDown", 3)).toBe(7);
  expect(to("ArrowUp", 3)).toBe(2);
  expect(to("Home", 5)).toBe(0);
  expect(to("End", 5)).toBe(9);
  expect(to("Tab", 5)).toBeNull();
});
