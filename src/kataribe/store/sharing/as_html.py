"""A shared conversation as one HTML page: no script, nothing from elsewhere, all text escaped."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from kataribe.store.messages import Message
from kataribe.store.sharing.branch import (
    WORDS,
    Branch,
    File,
    Language,
    shown_time,
    steps_of,
    title_of,
)

LONGEST_RENDERED = 20_000
"""Characters of a message that is shown as Markdown; a longer one is shown as it was written.
Some texts take a time by the square of their length."""

MOST_RENDERED = 400_000
"""Characters in one page that are shown as Markdown, the first ones: about five seconds."""

STYLE = """
:root{color-scheme:light dark;--ground:#fbfaf8;--ink:#23252f;--soft:#555a6b;--line:#d9d7d1;
--raised:#f2f0ec;--accent:#34489a}
@media(prefers-color-scheme:dark){:root{--ground:#15171d;--ink:#e9e7e2;--soft:#b0b3bf;
--line:#3a3e4b;--raised:#1f222b;--accent:#a9b8f5}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Noto Sans","Hiragino Sans","Noto Sans CJK JP","Yu Gothic",sans-serif}
:lang(ja) body{line-height:1.7;font-family:"Hiragino Sans","Hiragino Kaku Gothic ProN",
"Noto Sans CJK JP","Noto Sans JP","Yu Gothic","Yu Gothic UI",Meiryo,system-ui,sans-serif}
main{max-width:46rem;margin:0 auto;padding:24px 16px 48px}
h1{font-size:1.75rem;line-height:1.3}
dl,footer,.when,.note{color:var(--soft);font-size:.875rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 12px}
dd{margin:0}
article{border-top:1px solid var(--line);padding:16px 0}
article>h2{font-size:1rem;margin:0 0 8px;overflow-wrap:anywhere}
.when{font-weight:400}
.user{background:var(--raised);padding:16px;border-radius:8px;border:0;margin:16px 0}
.text{overflow-wrap:anywhere;unicode-bidi:isolate}
.text h1,.text h2,.text h3{font-size:1.1rem}
.plain{white-space:pre-wrap}
pre{overflow-x:auto;background:var(--raised);padding:12px;border-radius:8px;border:1px solid
var(--line)}
code{font-family:ui-monospace,Menlo,Consolas,"Noto Sans Mono CJK JP",monospace;font-size:.9em}
.tall{max-height:20rem;overflow:auto}
table{border-collapse:collapse;display:block;overflow-x:auto}
th,td{border:1px solid var(--line);padding:4px 8px}
blockquote{margin:0;padding-left:12px;border-left:3px solid var(--line)}
img{max-width:100%;height:auto}
a{color:var(--accent)}
"""

_LINKS = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)


def as_html(branch: Branch, language: Language) -> Iterator[str]:
    """The page, message by message."""
    words, talk = WORDS[language], branch.conversation
    title = escape(title_of(branch, language))
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; base-uri 'none'; "
    policy += "form-action 'none'"
    yield f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="referrer" content="no-referrer">\n'
    yield f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    yield f"<h1>{title}</h1>\n<dl>{_entry(words['began'], shown_time(talk.created_at))}"
    yield f"{_entry(words['model'], talk.model)}</dl>\n"
    if talk.system:
        yield f"<details><summary>{words['system']}</summary>{_plain(talk.system)}</details>\n"
    room = MOST_RENDERED
    for message in branch.messages:
        room -= len(message.text)
        files = branch.files.get(message.id, ())
        yield from _message(message, files, language, rendered=room >= 0)
    yield f"<footer>{words['made']}</footer>\n</main>\n</body>\n</html>\n"


def _entry(name: str, value: str | None) -> str:
    return f"<dt>{name}</dt><dd>{escape(value)}</dd>" if value else ""


def _plain(text: str) -> str:
    return f'<div class="text plain" dir="auto">{escape(text)}</div>'


def _message(
    message: Message, files: Sequence[File], language: Language, *, rendered: bool
) -> Iterator[str]:
    words = WORDS[language]
    who = words[message.role]
    if message.role == "assistant" and message.model:
        who += f" ({escape(message.model)})"
    when = f'<span class="when">{shown_time(message.created_at)}</span>'
    yield f'<article class="{message.role}">\n<h2>{who} {when}</h2>\n'
    for file in files:
        yield from _file(file, words)
    if steps := steps_of(message, language):
        listed = "".join(f"<li>{escape(each)}</li>" for each in steps)
        yield f"<details><summary>{words['steps']}</summary><ol>{listed}</ol></details>\n"
    if message.reasoning:
        reasoning = f"<summary>{words['reasoning']}</summary>{_plain(message.reasoning)}"
        yield f"<details>{reasoning}</details>\n"
    if rendered and len(message.text) <= LONGEST_RENDERED:
        yield f'<div class="text" dir="auto">{_markdown().render(message.text)}</div>\n'
    else:
        yield f"{_plain(message.text)}\n"
    if message.state in words:
        yield f'<p class="note">{words[message.state]}</p>\n'
    yield "</article>\n"


def _file(file: File, words: Mapping[str, str]) -> Iterator[str]:
    name = escape(file.name)
    if file.data is None:
        yield f'<p class="note">{words["file"]}: {name} ({words["left_out"]})</p>\n'
    elif file.media_type.startswith("image/"):
        data = base64.b64encode(file.data).decode()
        image = f'<img alt="{name}" src="data:{escape(file.media_type)};base64,{data}">'
        yield f"<figure>{image}<figcaption>{name}</figcaption></figure>\n"
    else:
        text = escape(file.data.decode("utf-8", "replace"))
        yield f"<details><summary>{words['file']}: {name}</summary>"
        yield f'<pre class="tall"><code>{text}</code></pre></details>\n'


@functools.cache
def _markdown() -> MarkdownIt:
    """Markdown without raw HTML, with images as links: nothing is fetched by opening the page."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    # Only these lead anywhere: a file that is opened from the disk has no site of its own.
    markdown.validateLink = _leads_out  # type: ignore[method-assign]
    markdown.add_render_rule("image", _image)
    markdown.add_render_rule("link_open", _link)
    return markdown


def _leads_out(url: str) -> bool:
    return _LINKS.match(url) is not None


def _image(
    self: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: MutableMapping[str, Any],
) -> str:
    token = tokens[index]
    url = str(token.attrGet("src") or "")
    shown = self.renderInlineAsText(token.children or [], options, env) or url
    return f'<a href="{escape(url)}" rel="noopener noreferrer nofollow">{escape(shown)}</a>'


def _link(
    self: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: MutableMapping[str, Any],
) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    return self.renderToken(tokens, index, options, env)
