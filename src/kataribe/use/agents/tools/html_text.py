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
_MOST_NODES = 500_000


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
    for count, node in enumerate(body.traverse(include_text=True)):
        if count > _MOST_NODES:
            words.append("\n[The page goes on; the rest was left out.]")
            break
        tag = node.tag
        if tag == "-text":
            words.append(_flat(node))
        elif tag == "br":
            words.append("\n")
        elif tag in ("td", "th"):
            words.append(" | ")
        elif tag in _BLOCKS:
            words.append("\n" if tag in ("li", "tr", "dd", "dt") else "\n\n")
            words.append(_HEADINGS.get(tag or "", "- " if tag == "li" else ""))
    return words


def _flat(node: LexborNode) -> str:
    text = node.text(deep=False) or ""
    parent = node.parent
    if parent is not None and parent.tag == "pre":
        return text
    after = "\n\n" if _ends_block(node) else ""
    return re.sub(r"\s+", " ", text) + after


def _ends_block(node: LexborNode) -> bool:
    """Whether what follows stands outside the block that this text is the last part of."""
    parent = node.parent
    return (
        node.next is None
        and parent is not None
        and parent.tag in _BLOCKS
        and parent.tag not in ("li", "tr", "dd", "dt")
    )


def _line(text: str | None) -> str:
    return re.sub(r"[ \t\r\f\v]+", " ", text or "").strip().removeprefix("| ")
