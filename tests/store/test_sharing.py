"""Shared files: what people and models wrote stays text, whatever it tries."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kataribe.base.errors import NotFoundError
from kataribe.store import attachments, conversations, messages
from kataribe.store.database import Store
from kataribe.store.sharing.as_html import STYLE, as_html
from kataribe.store.sharing.as_json import as_json
from kataribe.store.sharing.as_markdown import as_markdown, contained
from kataribe.store.sharing.branch import Branch, branch
from kataribe.store.tables import LOCAL, METADATA
from tests.store.conftest import person, talk

PNG = b"\x89PNG\r\n\x1a\nxx"
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "dl",
    "dt",
    "dd",
    "details",
    "summary",
    "div",
    "article",
    "span",
    "p",
    "a",
    "em",
    "strong",
    "del",
    "s",
    "code",
    "pre",
    "ul",
    "ol",
    "li",
    "blockquote",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "hr",
    "br",
    "img",
    "figure",
    "figcaption",
    "footer",
}
ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "dir",
    "href",
    "rel",
    "alt",
    "src",
    "start",
}

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1)) [b](JaVaScRiPt&colon;alert(1)) [c](data:text/html,x)",
    "![x](https://evil.example/pixel.png)",
    '![x](https://evil.example/"onload="alert) [y](https://e.example/"><script>)',
    "</article></main></body><style>*{display:none}</style>",
    "<!-- everything after is gone",
    "```\nunclosed fence <b>",
    "~~~~html\n<iframe src=//evil>",
    "[a]: javascript:x\n\n[a]",
    '<a href="file:///etc/passwd">x</a> <file:///etc/passwd> <javascript:alert(1)>',
    "\u202etxt.exe\u2066 ﷽ \x01",
    "|a|\n|-|\n|<svg/onload=x>|",
    "&lt;script&gt; &#60;script&#62;",
    "]]> --> */ </title></textarea>",
]


class Seen(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def shared(store: Store, *words: str, title: str = "題名", **changes) -> Branch:
    with store.writing() as tx:
        id_, _ = talk(tx, *words, title=title)
        conversations.change(tx, LOCAL, id_, **{"model": "pico", **changes})
    with store.reading() as tx:
        return branch(tx, LOCAL, id_)


def check_page(page: str) -> Seen:
    seen = Seen(page)
    for tag, attributes in seen.tags:
        assert tag in TAGS, tag
        assert set(attributes) <= ATTRIBUTES, attributes
        for name in ("href", "src"):
            value = attributes.get(name)
            assert value is None or re.match(r"https?://|mailto:|data:image/png;", value), value
        assert tag == "img" or "src" not in attributes
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = next(a["content"] for t, a in seen.tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"'sha256-{style}'" in policy
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    return seen


@pytest.mark.parametrize("words", HOSTILE)
def test_a_page_holds_only_text(store, words):
    found = shared(store, words, words, title=words[:200], system=words)
    seen = check_page("".join(as_html(found, "ja")))
    assert [tag for tag, _ in seen.tags].count("article") == 2
    assert "Kataribe から書き出しました" in seen.words  # nothing hides the end
    assert not any(tag in ("script", "iframe", "svg") for tag, _ in seen.tags)
    if "<script>alert" in words:
        assert "<script>alert(1)</script>" in "".join(seen.words)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from([*HOSTILE, "\n\n", "> ", "- ", "`", "**", "|", "<", "文"]), max_size=8)
)
def test_pages_of_mixed_things(parts):
    message = messages.Message("m" * 20, "c" * 20, None, "user", "sent", "".join(parts))
    about = conversations.Conversation(
        id="c" * 20,
        owner=LOCAL,
        title="",
        titled_by=None,
        folder="",
        pinned=False,
        model=None,
        system="",
        sampling={},
        head=None,
        version=0,
        created_at=0.0,
        updated_at=0.0,
        deleted_at=None,
    )
    seen = check_page("".join(as_html(Branch(about, (message,), {}), "en")))
    assert [tag for tag, _ in seen.tags].count("article") == 1


def test_a_page_shows_what_was_said(store):
    found = shared(store, "**太字** and `code`", "| a |\n|---|\n| 1 |", "| x", system="簡潔に")
    page = "".join(as_html(found, "ja"))
    seen = check_page(page)
    assert "<strong>太字</strong>" in page
    assert "<table>" in page
    assert "簡潔に" in seen.words
    assert "題名" in seen.words
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", page)
    assert "pico" in page
    assert '<html lang="ja">' in page
    assert "prefers-color-scheme:dark" in page
    assert "Hiragino" in page


def test_long_messages_are_shown_as_they_were_written(store):
    text = "![" * 50_000 + "**end**"
    page = "".join(as_html(shared(store, text), "en"))
    check_page(page)
    assert text in page


def test_unfinished_replies_say_so(store):
    with store.writing() as tx:
        id_, said = talk(tx, "q", "half a rep")
        messages.update(tx, said[1], state="interrupted", reasoning="<b>thinking")
    with store.reading() as tx:
        found = branch(tx, LOCAL, id_)
    assert "中断されました" in "".join(as_html(found, "ja"))
    assert "interrupted" in "".join(as_markdown(found, "en"))
    assert "&lt;b&gt;thinking" in "".join(as_html(found, "en"))
    assert json.loads("".join(as_json(found, "en")))["messages"][1]["state"] == "interrupted"


def test_what_was_done_for_a_reply_comes_along(store):
    step = {"name": "call", "line": "send <b>{}", "content": "", "left": 0, "call": "c", "at": 1.0}
    answer = {"approved": False, "why": "だめ <i>", "by": "person"}
    asked = {"calls": [{"id": "c", "name": "send", "arguments": "{}"}], "answers": {"c": answer}}
    with store.writing() as tx:
        id_, said = talk(tx, "q", "done")
        messages.update(tx, said[1], steps=[step | {"tokens": 0}], consents=[asked])
    with store.reading() as tx:
        found = branch(tx, LOCAL, id_)
    page = "".join(as_html(found, "ja"))
    seen = check_page(page)
    assert "call: send <b>{}" in seen.words
    assert any("実行を拒否" in words and "だめ <i>" in words for words in seen.words)
    text = "".join(as_markdown(found, "en"))
    assert "> 1. call: send \\<b\\>" in text
    assert "Consent refused: send" in text
    told = json.loads("".join(as_json(found, "en")))["messages"][1]
    assert told["steps"][0]["line"] == "send <b>{}"


def test_files_come_along(store):
    with store.writing() as tx:
        id_, said = talk(tx, "see")
        table = METADATA.tables["attachments"]
        for name, data in (("<x>.png", PNG), ("a.py", b"print('```')</pre>")):
            kept = attachments.keep(tx, LOCAL, name, data)
            tx.execute(sa.update(table).where(table.c.id == kept.id).values(message=said[0]))
    with store.reading() as tx:
        found = branch(tx, LOCAL, id_)
    page = "".join(as_html(found, "en"))
    seen = check_page(page)
    sources = [attributes["src"] for tag, attributes in seen.tags if tag == "img"]
    assert sources == [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"]
    assert "print('```')</pre>" in "".join(seen.words)
    told = json.loads("".join(as_json(found, "en")))["messages"][0]["attachments"]
    assert [one["name"] for one in told] == ["<x>.png", "a.py"]
    assert told[1]["text"] == "print('```')</pre>"
    assert "````\nprint" in "".join(as_markdown(found, "en"))


@pytest.mark.parametrize("words", HOSTILE)
def test_markdown_keeps_messages_apart(store, words):
    found = shared(store, words, "the reply", words, title=words[:200])
    page = MarkdownIt("commonmark", {"html": True}).render("".join(as_markdown(found, "en")))
    assert "<p>the reply</p>" in page
    assert page.rstrip().endswith("<hr />\n<p>Exported from Kataribe</p>")
    assert len(re.findall(r"<h2>(You|Reply)", page)) == 3
    assert "<script" not in page
    assert "<!--" not in page


def test_markdown_leaves_code_as_it_is():
    text = "a <b> `<b>` ``<i> ` `` \n\n```html\n<b>\n```\n\n<i>"
    assert contained(text) == "a \\<b> `<b>` ``<i> ` `` \n\n```html\n<b>\n```\n\n\\<i>"
    assert contained("```\nx") == "```\nx\n```"
    assert contained("````\n```\nx") == "````\n```\nx\n````"
    assert contained("plain 1 < 2") == "plain 1 < 2"
    assert contained("x " + "`" * 100_000 + "<b>").endswith("\\<b>")


def test_only_the_shown_branch_and_only_for_its_owner(store):
    with store.writing() as tx:
        person(tx, "other")
        id_, said = talk(tx, "one", "two")
        side = messages.Message("s" * 20, id_, said[0], "assistant", "done", "another")
        messages.add(tx, LOCAL, side)
    with store.reading() as tx:
        found = branch(tx, LOCAL, id_)
        assert [message.text for message in found.messages] == ["one", "two"]
        with pytest.raises(NotFoundError):
            branch(tx, "other", id_)


def test_json_is_whole(store):
    found = shared(store, '質問 \u2028 "', "返答", title="")
    told = json.loads("".join(as_json(found, "ja")))
    assert told["title"] == "会話"
    assert [message["text"] for message in told["messages"]] == ['質問 \u2028 "', "返答"]
    assert told["messages"][1]["model"] == "pico"
