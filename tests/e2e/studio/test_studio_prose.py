"""A model's text as it is shown: mathematics, code, tables, and what is made to break the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect
from studio_stage import PHONE, Models, Studio, field_of, finished, say

from kataribe.run.providers.scripted import Reply

FORMULAS = r"""The sum \(\sum_{k=1}^n k\) and $x_1 + y^2$ cost $5 or $10.

$$\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}$$

\[
\begin{pmatrix} a & b \\ c & d \end{pmatrix}
\]

Not one: \(\frac{\) and \(\href{javascript:alert(1)}{x}\) and \(\includegraphics{https://a.org/x}\).
"""


@pytest.fixture
def page(studio: Studio) -> Iterator[Page]:
    """An empty chat in which any breach of the policy is written down."""
    page = studio.open(
        "/chat",
        init="window.breaches = []; document.addEventListener('securitypolicyviolation',"
        " (event) => window.breaches.push(event.violatedDirective + ' ' + event.blockedURI));",
    )
    yield page
    assert page.evaluate("window.breaches") == []


def _shown(page: Page, models: Models, answer: str, turn: int = 1) -> Locator:
    models.answer = answer
    say(page, "Show.")
    return finished(page, turn)


def test_formulas_are_drawn_without_anything_from_elsewhere(page: Page, models: Models) -> None:
    reply = _shown(page, models, FORMULAS)
    expect(reply.locator("math")).to_have_count(4)
    expect(reply.locator("math mfrac")).to_have_count(1)
    expect(reply.locator("math mtable")).to_have_count(1)
    expect(reply).to_contain_text("cost $5 or $10")
    expect(reply.locator(".formula code:visible")).to_have_count(3)
    expect(reply.locator("math a, math img, math [href]")).to_have_count(0)
    fraction = reply.locator("math mfrac").bounding_box()
    assert fraction is not None
    assert fraction["height"] > 24, "the fraction is not laid out as one"


def test_brackets_grow_also_where_no_font_for_mathematics_is_installed(
    page: Page, models: Models
) -> None:
    column = r" \\ ".join("abcdef")
    reply = _shown(page, models, rf"\[ \begin{{pmatrix}} {column} \end{{pmatrix}} \]")
    expect(reply.locator("math")).to_have_count(1)
    page.evaluate(
        "() => { const style = document.querySelector('math').style;"
        " style.fontFamily = 'Kataribe Math'; return document.fonts.load('16px Kataribe Math'); }"
    )
    page.wait_for_function("document.querySelector('math mo').getBoundingClientRect().height > 60")


def test_code_is_coloured_by_classes_and_copied_as_it_is(
    page: Page, models: Models, studio: Studio
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    code = 'def f(x):\n    # "語り部" </code><script>\n    return f"{x}"'
    reply = _shown(page, models, f"Here:\n```python\n{code}\n```\nand\n```klingon\nqapla\n```")
    expect(reply.locator(".hljs-keyword").first).to_have_text("def")
    plain = reply.locator("pre").last.evaluate("(at) => getComputedStyle(at).color")
    word = reply.locator(".hljs-keyword").first.evaluate("(at) => getComputedStyle(at).color")
    assert word != plain
    assert reply.locator("pre code").first.text_content() == code
    reply.get_by_role("button", name="Copy this code").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == code
    expect(reply.locator("pre").last).to_have_text("qapla")


def test_a_message_and_its_reply_are_copied_as_they_were_written(
    page: Page, models: Models
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    models.answer = "**Yes**, $x$:\n\n- 語り部 <b>\n- `two`"
    say(page, "*Is* it <i>so</i>?")
    reply = finished(page)
    for name, words in (("message", "*Is* it <i>so</i>?"), ("reply", models.answer)):
        button = page.get_by_role("button", name=f"Copy this {name}")
        button.click()
        expect(button).to_contain_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == words
    expect(reply.locator("strong")).to_have_text("Yes")


def test_a_huge_table_is_cut_until_it_is_asked_for(page: Page, models: Models) -> None:
    rows = "\n".join(f"| {at} | value |" for at in range(10_000))
    reply = _shown(page, models, f"Words first.\n\n| n | v |\n|---|---|\n{rows}")
    expect(reply.locator("tbody tr")).to_have_count(200)
    page.get_by_role("button", name="Show all").click()
    # 10,000 rows have more than 200,000 characters: the others come with the rest of the text.
    expect(reply.get_by_role("button", name="Show all")).to_have_count(0)
    expect(reply.locator("tbody tr").nth(5000)).to_be_attached()
    expect(field_of(page)).to_be_in_viewport()


HOSTILE = {
    "one line of 5 MB": "x" * 5_000_000,
    "a million marks": "e" + "\u0301" * 1_000_000,
    "quotes": "> " * 9000 + "deep",
    "items": "- " * 9000 + "deep",
    "stars": "*_" * 9000,
    "images": "![" * 1200 + "x" + "](y)" * 1200,
    "styles": "<style>*{display:none}</style><div style='position:fixed;inset:0'>x</div>",
    "a base": "<base href='https://elsewhere.org'><meta http-equiv=refresh content='0;url=//a'>",
    "a form": "<form action='https://elsewhere.org'><input name=a><button>Go</button></form>",
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_output_made_to_break_the_page_leaves_it_usable(
    page: Page, models: Models, name: str
) -> None:
    reply = _shown(page, models, HOSTILE[name])
    expect(reply.locator(".prose")).to_be_visible()
    field_of(page).fill("still here")
    expect(field_of(page)).to_have_value("still here")
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "the page scrolls sideways"
    expect(reply.locator("style, form, base, meta, [style*=fixed]")).to_have_count(0)


def test_signs_that_turn_the_direction_are_seen_and_do_nothing(page: Page, models: Models) -> None:
    reply = _shown(page, models, "open \u202egnp.exe now\n\n```\nif (a) \u2067/* b */\n```")
    expect(reply.locator(".sign")).to_have_text(["RLO", "RLI"])
    assert reply.locator(".prose > p").first.inner_text().startswith("open RLO")
    assert "\u202e" not in str(reply.locator(".prose").text_content())


def test_an_image_names_its_host_and_is_never_loaded(
    page: Page, models: Models, studio: Studio
) -> None:
    reply = _shown(page, models, "![a cat](https://example.org/cat.png?secret=1)")
    link = reply.get_by_role("link", name="Image from example.org, not loaded")
    expect(link).to_have_attribute("rel", "noreferrer noopener")
    expect(link).to_have_attribute("target", "_blank")
    expect(reply.locator("img")).to_have_count(0)


def test_of_a_growing_reply_only_the_last_piece_is_made_anew(page: Page, models: Models) -> None:
    items = "\n".join(f"- item number {at}" for at in range(200))
    models.hold = 900
    models.answer = f"Words.\n\n{items}\n\nThe end."
    say(page, "List.")
    reply = page.locator("article.reply").last
    expect(reply.locator("li").nth(60)).to_be_attached()
    reply.locator("li").nth(10).evaluate("(at) => { at.dataset.seen = 'yes'; }")
    models.go.set()
    finished(page)
    expect(reply.locator("li")).to_have_count(200)
    expect(reply.locator("ul")).to_have_count(1)
    expect(reply.locator("li[data-seen=yes]")).to_have_count(1)


FLICKER = """
window.steps = [];
new MutationObserver(() => {
  const count = (what) => document.querySelectorAll(`article.reply ${what}`).length;
  const now = [count('math'), count('.hljs-keyword'), count('.code code > span')];
  const last = window.steps.at(-1);
  if (String(now) !== String(last)) window.steps.push(now);
}).observe(document, { subtree: true, childList: true, characterData: true });
"""
"""Notes, at each change of the page: formulas that are drawn, coloured words of code."""


def _streamed(
    studio: Studio, models: Models, text: str, after: str, ends: tuple[str, int]
) -> list[list[int]]:
    """What was noted while a reply grew letter by letter, until it has so many of something.

    `after` is there when it begins.
    """
    page = studio.open("/chat", init=FLICKER)
    models.answer = after
    say(page, "Begin.")
    finished(page)
    expect(page.locator("article.reply math, article.reply .hljs-keyword")).not_to_have_count(0)
    page.evaluate("window.steps = []")
    models.answer = Reply(text, pieces=tuple(text), pace=0.03)
    say(page, "Stream.")
    finished(page, 2)
    what, count = ends
    expect(page.locator("article.reply").last.locator(what)).to_have_count(count)
    return list(page.evaluate("window.steps"))


def test_a_growing_formula_is_drawn_once(studio: Studio, models: Models) -> None:
    text = "So\n\n$$\nx = \\frac{1}{2} + y\n$$\n\nand $$z^2$$, and on."
    steps = _streamed(studio, models, text, "Before: $a$.", ends=("math", 2))
    formulas = [drawn for drawn, *_ in steps]
    assert formulas == sorted(set(formulas)), "one was drawn, then its source was shown again"
    assert formulas[-1] == 3


def test_growing_code_keeps_its_colours(studio: Studio, models: Models) -> None:
    text = "```python\ndef f(x):\n    if x:\n        return 1\n    return 2\n```\n"
    after = "```python\npass\n```"
    steps = _streamed(studio, models, text, after, ends=(".hljs-keyword", 4))
    words = [coloured for _, coloured, _ in steps]
    assert len(steps) > 3, "it did not come piece by piece"
    assert words == sorted(words), steps
    assert words[-1] == 5


def test_wide_things_scroll_in_their_own_box_on_a_phone(studio: Studio, models: Models) -> None:
    page = studio.open("/chat", viewport=PHONE, touch=True)
    wide = " | ".join(["wide column"] * 20)
    models.answer = (
        f"| {wide} |\n{'|---' * 20}|\n| {wide} |\n\n```\n{'long line ' * 60}\n```\n\n"
        "$$" + " + ".join(f"x_{{{at}}}" for at in range(60)) + "$$"
    )
    say(page, "Show.")
    reply = finished(page)
    expect(reply.locator("math")).to_have_count(1)
    for box in (".wide", "pre", ".formula.display"):
        inner, outer = reply.locator(box).evaluate("(at) => [at.scrollWidth, at.clientWidth]")
        assert inner > outer, f"{box} does not scroll"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
