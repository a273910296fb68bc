"""HTML to readable text: headings, paragraphs, lists and tables, without what nobody reads."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

_SILENT = "script, style, noscript, template, svg, iframe, object, head > *:not(title)"
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tr",
        "ul",
    }
)
_HEADINGS = {f"h{level}": f"{'#' * level} " for level in range(1, 7)}
_LINES = frozenset({"li", "tr", "dd", "dt"})
_MOST_STEPS = 1_000_000


def html_to_text(html: str) -> str:
    """The words of a page in reading order; a blank line stands between blocks."""
    tree = LexborHTMLParser(html)
    for node in tree.css(_SILENT):
        node.decompose()
    title = tree.css_first("title")
    words = [f"{_line(title.text())}\n\n"] if title is not None else []
    body = tree.body
    if body is not None:
        words += _words(body)
    lines = [_line(line) for line in "".join(words).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _words(body: LexborNode) -> list[str]:
    """Pieces of text with the line breaks between them; a walk, not a recursion: pages are deep."""
    words: list[str] = []
    # A node, whether it ends here, and whether its line breaks count.
    waiting: list[tuple[LexborNode, bool, bool]] = [(body, False, False)]
    for _ in range(_MOST_STEPS):
        if not waiting:
            return words
        node, ends, as_is = waiting.pop()
        tag = node.tag or ""
        if tag == "-text":
            text = node.text_content or ""
            words.append(text if as_is else re.sub(r"\s+", " ", text))
            continue
        words.append(_mark(tag, ends=ends))
        if not ends:
            waiting.append((node, True, as_is))
            as_is = as_is or tag == "pre"
            child = node.last_child
            while child is not None:
                waiting.append((child, False, as_is))
                child = child.prev
    return [*words, "\n\n[The page goes on; the rest was left out.]"]


def _mark(tag: str, *, ends: bool) -> str:
    if tag in ("td", "th"):
        return "" if ends else " | "
    if tag in _LINES:
        return "" if ends else "\n- " if tag == "li" else "\n"
    if tag in _BLOCKS:
        return "\n\n" if ends else f"\n\n{_HEADINGS.get(tag, '')}"
    return "\n" if tag == "br" and not ends else ""


def _line(text: str | None) -> str:
    return re.sub(r"[ \t\r\f\v]+", " ", text or "").strip().removeprefix("| ")
