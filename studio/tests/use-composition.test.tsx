import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { useComposition } from "../src/ui/useComposition";

type InForm = ReturnType<typeof useComposition>["inForm"];

/** What a field of a form spreads. */
function fieldInForm(): InForm {
  let found: InForm | null = null;
  function Field() {
    const { inForm } = useComposition();
    found = inForm;
    return <input {...inForm} />;
  }
  renderToStaticMarkup(<Field />);
  if (found === null) throw new Error("the field was not drawn");
  return found;
}

/** Milliseconds at which keys are pressed. */
const NOW = 5000;
/** So long before them that no Enter of the composition can still come. */
const LONG_AGO = { timeStamp: 1000 };

/** A key pressed in the field; whether its form is kept from being sent by it. */
function press(field: InForm, part: object = {}): boolean {
  const keydown = new Event("keydown", { cancelable: true });
  Object.defineProperty(keydown, "timeStamp", { value: NOW });
  const plain = { key: "Enter", keyCode: 13, isComposing: false };
  const nativeEvent = Object.assign(keydown, plain, part);
  field.onKeyDown({ nativeEvent });
  return keydown.defaultPrevented;
}

describe("a field of a form", () => {
  it("is sent by a plain Enter", () => {
    expect(press(fieldInForm())).toBe(false);
  });

  it("is not sent by the Enter of Chromium and Firefox, pressed while composing", () => {
    const field = fieldInForm();
    field.onCompositionStart();
    expect(press(field, { isComposing: true, keyCode: 229 })).toBe(true);
    expect(press(field)).toBe(true); // even were the event to say nothing
    field.onCompositionEnd(LONG_AGO);
    expect(press(field)).toBe(false);
  });

  it("is not sent by the Enter of Safari, which comes after the composition has ended", () => {
    const field = fieldInForm();
    field.onCompositionStart();
    field.onCompositionEnd(LONG_AGO);
    expect(press(field, { keyCode: 229 })).toBe(true);
    field.onCompositionStart();
    field.onCompositionEnd({ timeStamp: NOW - 1 });
    expect(press(field)).toBe(true); // keyboards that say 13, in the same instant
  });

  it("is sent by Enter again after it was left while composing", () => {
    const field = fieldInForm();
    field.onCompositionStart();
    field.onBlur(LONG_AGO);
    expect(press(field)).toBe(false);
  });

  it("keeps its other keys", () => {
    expect(press(fieldInForm(), { key: "ArrowDown", isComposing: true })).toBe(false);
  });
});
