"""What holds on every page: it speaks one language, and keys go through it in its own order."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page

KNOWN = frozenset({
    "Kataribe", "English", "Enter", "Ctrl", "Shift", "Esc", "Top", "Min", "tests",
    "Markdown", "JSON", "CSV", "PNG", "API", "MCP", "Python", "Hugging", "Face", "pypi",
    "smollm", "storyteller", "qwen", "coder", "日本語",
})  # fmt: skip
"""Words that stand on pages of either language."""

SHOWN = """
(root) => {
  const copy = root.cloneNode(true);
  // Names, code, and what others wrote in English, marked so.
  const others = "[translate=no], code, kbd, option, [lang=en]";
  const names = [...copy.querySelectorAll("[translate=no]")].map((at) => at.textContent);
  for (const at of copy.querySelectorAll(others)) at.remove();
  const said = [...copy.querySelectorAll("[aria-label], [title], [placeholder]")].flatMap((at) =>
    ["aria-label", "title", "placeholder"].map((name) => at.getAttribute(name)));
  // What a person or a model wrote; the labels of its fields are the page's.
  for (const at of copy.querySelectorAll("textarea, .sample")) at.remove();
  return [copy.textContent, said.filter(Boolean).join("\\n"), names.join("\\n")];
}
"""


def foreign_words(root: Locator, locale: str, known: frozenset[str] = KNOWN) -> list[str]:
    """Words of the studio's other language within an element, attributes included.

    Names that the page marks as such may stand in its labels too.
    """
    japanese = r"[\u3040-\u30ff\u4e00-\u9fff]+"
    word = japanese if locale.startswith("en") else "[A-Za-z]{3,}"
    said, labels, names = root.evaluate(SHOWN)
    assert locale.startswith("en") or re.search(japanese, said), "nothing is said in Japanese"
    labelled = set(re.findall(word, labels)) - set(re.findall(word, names))
    return sorted((set(re.findall(word, said)) | labelled) - known)


REACHABLE = """
() => {
  const named = (at) => at.innerText || at.getAttribute("aria-label") || at.id || at.tagName;
  const alone = (at) => at.type !== "radio" || at.checked || ![...document.querySelectorAll(
    `input[type=radio][name="${at.name}"]`)].some((one) => one.checked);
  window.reachable = [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex]")].filter((at) =>
    at.tabIndex >= 0 && !at.disabled && !at.closest("[inert]") && alone(at)
    && at.checkVisibility({ visibilityProperty: true }));
  return window.reachable.map(named);
}
"""

FOCUSED = """
() => {
  const at = document.activeElement;
  if (at === document.body) return null; // beyond the last one, before the first
  const ringed = at.closest(".composer .box, label.button") ?? at;
  const style = getComputedStyle(at.matches("textarea, [type=file]") ? ringed : at);
  return [window.reachable.indexOf(at), at.outerHTML.slice(0, 120),
    style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
}
"""


SAME = "(before) => window.reachable.every((at, index) => at === before[index])"


def walk(page: Page) -> list[str]:
    """Presses Tab once round the page; gives the names of what was reached, first to last.

    All that can be reached must be, in the order in which it stands in the page, and show its
    focus. A box that scrolls may be reached in between: Chromium lets keys scroll it. Where
    something came or went meanwhile, the page was not all there yet and is gone round again.
    """
    for _ in range(5):
        wanted = page.evaluate(REACHABLE)
        before = page.evaluate_handle("window.reachable")
        order = _round(page, len(wanted))
        if page.evaluate(REACHABLE) == wanted and page.evaluate(SAME, before):
            break
    names = [wanted[index] for index in order]
    assert order == list(range(len(wanted))), f"{names} was reached, and not {wanted}"
    return names


def _round(page: Page, count: int) -> list[int]:
    reached: list[int] = []
    for _ in range(count + 12):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        if at is None:
            continue
        index, name, ringed = at
        assert ringed, f"the focus on {name} cannot be seen"
        if index < 0:
            continue
        if reached and index == reached[0]:
            break
        reached.append(index)
    begin = reached.index(min(reached))  # it begins wherever the focus was
    return reached[begin:] + reached[:begin]
