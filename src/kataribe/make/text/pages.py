"""HTML, Markdown and reStructuredText to the text that a reader sees."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

_UNREAD = (
    "script, style, noscript, template, svg, math, iframe, object, canvas, form, button, nav, "
    "footer, aside, head, select, [hidden], [aria-hidden=true], [role=navigation], "
    "a.headerlink, div.sphinxsidebar, div.related, div.navheader, div.navfooter"
)
"""What is not main text, with the frames of the generators that most documentation comes from."""
_MAIN = "main, article, [role=main]"
_MAIN_SHARE = 0.4
"""`main` is taken for the text when it holds at least this share of the page's characters."""
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "br",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
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
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
_APART = frozenset(
    [
        "blockquote",
        "dl",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "ul",
    ]
)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\r?\n.*?\r?\n(\1|\.\.\.)[ \t]*(\r?\n|\Z)", re.DOTALL)
_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:-]{2,40})", re.IGNORECASE
)
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.MULTILINE)
_COMMENT = re.compile(
    r"^\.\. (?![^\s:]+::|\[|_|\|)[^\n]*\n(?:[ \t]+[^\n]*\n|[ \t]*\n)*", re.MULTILINE
)


def html_text(html: str) -> str:
    """The main text of a page, with line breaks where a reader sees them."""
    tree = LexborHTMLParser(html)
    for node in tree.css(_UNREAD):
        if node.tag not in ("html", "body", "main", "article"):
            node.decompose(recursive=True)
    body = tree.body
    if body is None:
        return ""
    main = max(tree.css(_MAIN), key=_length, default=None)
    if main is not None and _length(main) >= _MAIN_SHARE * _length(body):
        return _text_of(main)
    return _text_of(body)


def charset_of(data: bytes) -> str | None:
    """The encoding that an HTML page or a Python file declares, if it does."""
    found = _CHARSET.search(data[:4096])
    if found is None:
        found = _CODING.search(b"\n".join(data[:1000].split(b"\n")[:2]))
    return found.group(1).decode("ascii", "replace") if found else None


def markdown_text(text: str) -> str:
    """Markdown as it is, without its front matter (YAML or TOML between `---` or `+++`)."""
    return _FRONT.sub("", text.removeprefix("\ufeff"), count=1).lstrip("\n")


def rst_text(text: str) -> str:
    """ReStructuredText as it is, without its comments."""
    return _COMMENT.sub("", text)


def _length(node: LexborNode) -> int:
    return len(node.text(deep=True))


def _text_of(root: LexborNode) -> str:
    """Text of a tree, iteratively: strangers' pages nest deeper than Python's stack."""
    out: list[str] = []
    stack: list[tuple[LexborNode, bool, bool]] = [(root, False, False)]  # node, leaves, within pre
    while stack:
        node, leaves, within = stack.pop()
        tag = node.tag or ""
        if tag == "-text":
            text = node.text_content or ""
            out.append(text if within else _SPACES.sub(" ", text))
            continue
        if tag in _BLOCKS:
            begun = bool(out) and not out[-1].endswith("\n")
            out.append("\n\n" if tag in _APART else "\n" if begun else "")
        elif tag in ("td", "th"):
            out.append("\t" if leaves else "")
        if leaves:
            continue
        if tag == "li":
            out.append("- ")
        within = within or tag == "pre"
        stack.append((node, True, within))
        child = node.last_child
        while child is not None:
            stack.append((child, False, within))
            child = child.prev
    return _tidied("".join(out))


def _tidied(text: str) -> str:
    lines = [
        line.strip(" ") if not line.startswith("    ") else line.rstrip()
        for line in text.split("\n")
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
