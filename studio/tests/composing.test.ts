import { describe, expect, it } from "vitest";

import { Composition, isSendKey, type KeyPress } from "../src/ui/composing";

const enter = (part: Partial<KeyPress> = {}): KeyPress => ({
  key: "Enter",
  keyCode: 13,
  isComposing: false,
  timeStamp: 5000,
  ...part,
});

describe("Composition", () => {
  it("owns the Enter of Chromium and Firefox, pressed while composing", () => {
    const composition = new Composition();
    composition.start();
    expect(composition.owns(enter({ isComposing: true, keyCode: 229 }))).toBe(true);
    expect(composition.owns(enter())).toBe(true); // even were the event to say nothing
    composition.end(5000);
    expect(composition.owns(enter({ timeStamp: 5200 }))).toBe(false);
  });

  it("owns the Enter of Safari, which comes after the composition has ended", () => {
    const composition = new Composition();
    composition.start();
    composition.end(4999);
    expect(composition.owns(enter({ keyCode: 229, timeStamp: 5300 }))).toBe(true);
    expect(composition.owns(enter({ keyCode: 13, timeStamp: 5000 }))).toBe(true);
    expect(composition.owns(enter({ timeStamp: 5300 }))).toBe(false);
  });

  it("leaves a plain Enter to the page", () => {
    expect(new Composition().owns(enter())).toBe(false);
  });
});

describe("isSendKey", () => {
  const key = { key: "Enter", shiftKey: false, ctrlKey: false, metaKey: false, altKey: false };
  it.each([
    [{}, true, true],
    [{ shiftKey: true }, true, false],
    [{ ctrlKey: true }, true, true],
    [{ altKey: true }, true, false],
    [{}, false, false],
    [{ metaKey: true }, false, true],
    [{ key: "a" }, true, false],
  ])("%j with enterSends=%s sends: %s", (part, enterSends, sends) => {
    expect(isSendKey({ ...key, ...part }, enterSends)).toBe(sends);
  });
});
