"""Questions in Japanese about manual pages: what things do, what options and errors mean.

As with the functions of Python some can be answered only by who has read the pages, and others hold
a piece of the page that says it. Where a page is there in English too, its line is translated.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator

from kataribe.make.text.instructions.examples import Example
from kataribe.make.text.instructions.groups import Groups
from kataribe.make.text.instructions.pages import Entry, Page
from kataribe.make.text.instructions.pairs import TO_ENGLISH, TO_JAPANESE
from kataribe.make.text.instructions.stdlib import chosen

SECTIONS = {
    "1": "コマンド",
    "2": "システムコール",
    "3": "ライブラリ関数",
    "4": "デバイス",
    "5": "ファイル形式",
    "6": "ゲーム",
    "7": "その他",
    "8": "管理コマンド",
}
_DOES = (
    "{name} は何をする{what}ですか。",
    "{what} {name} を一行で説明してください。",
    "{name} について教えてください。",
    "{what}の {name} は何のためにありますか。",
)
_OTHER = (
    "{name} とは何ですか。",
    "{name} について教えてください。",
    "{name} を一行で説明してください。",
)
_WHICH = (
    "次のように説明される{what}は何ですか。\n{about}",
    "次の説明に当たる{what}の名前を答えてください。\n{about}",
)
_SECTION = (
    "{name} はマニュアルの第何章にありますか。",
    "{name} のマニュアルページは何章ですか。",
)
_OPTION = (
    "{name} の {tag} オプションは何をしますか。",
    "{name} で {tag} を指定するとどうなりますか。",
)
_ERROR = (
    "{name} がエラー {tag} になるのはどのようなときですか。",
    "{name} の {tag} は何を意味しますか。",
)
_READ = (
    "次は {name} のマニュアルの一部です。\n\n{excerpt}\n\n{tag} は何を意味しますか。",
    "{excerpt}\n\n上の説明によると、{name} の {tag} は何ですか。",
)
_FIND = (
    "{name} のマニュアルから。\n\n{excerpt}\n\n「{sentence}」と説明されているのはどれですか。",
    "{excerpt}\n\n上の {name} の説明で、「{sentence}」に当たるものを答えてください。",
)
_ENDS = re.compile(r"。(?![」』)\uff09])")
_KANA = re.compile(r"[ぁ-ゖァ-ヺ]")
_BRACKETS = ("()", "「」", "『』", "\uff08\uff09", "[]")
_SAME_EVERYWHERE = re.compile(r"--?(?:help|version|usage)\b|-[hV]\b")
_ERRNO = re.compile(r"E[A-Z0-9]{2,15}")
_OPTION_TAG = re.compile(r"-{1,2}[A-Za-z0-9?][\w-]*")
_LONGEST = 120
"""Characters of an answer: 60 to 90 tokens."""
_EXCERPT = 3
"""Entries that a question shows."""


def questions_about_pages(pages: Iterable[Page]) -> Iterator[Example]:
    """All questions about all Japanese pages, with translations where the English one is there.

    Pages that share a name or their description are one item: their answers are never on both
    sides.
    """
    known: dict[tuple[str, str, bool], Page] = {}
    for page in pages:
        known.setdefault((page.names[0].lower(), page.section, page.japanese), page)
    groups = Groups()
    for page in known.values():
        names = (f"name {name.lower()}" for name in page.names)
        groups.join(f"about {page.about.lower()}", *names)
    for (name, section, japanese), page in known.items():
        item = groups.find(f"about {page.about.lower()}")
        if not japanese:
            continue
        yield from _about(page, item)
        yield from _about_entries(page, item)
        english = known.get((name, section, False))
        if english is not None:
            yield from _translated(page, english, item)


def _about(page: Page, item: str) -> Iterator[Example]:
    name, what = page.names[0], SECTIONS[page.section]
    words = {"name": name, "what": what, "about": page.about}
    does = _OTHER if page.section in "457" else _DOES
    asked = [
        ("ja_does", does, _closed(page.about), 2),
        ("ja_section", _SECTION, f"{name} は第 {page.section} 章({what})にあります。", 1),
    ]
    if page.section not in "457":
        asked.append(("ja_which", _WHICH, f"{name} です。", 1))
    for kind, phrasings, answer, count in asked:
        for phrasing in chosen(phrasings, f"{name} {page.section} {kind}", count):
            yield Example(phrasing.format(**words), answer, item, kind)


def _about_entries(page: Page, item: str) -> Iterator[Example]:
    """What single options and errors mean, from memory and from a piece of the page."""
    name = page.names[0]
    told = [
        (each, tag, text) for each in page.entries if (tag := _tag(each)) and (text := _first(each))
    ]
    times = Counter(tag for _, tag, _ in told)
    told = [each for each in told if times[each[1]] == 1]
    for at, (entry, tag, sentence) in enumerate(told):
        error = tag[0] == "E"
        words = {"name": name, "tag": tag, "sentence": sentence.rstrip("。")}
        key = f"{name} {page.section} {tag}"
        kind, phrasings = ("ja_error", _ERROR) if error else ("ja_option", _OPTION)
        [phrasing] = chosen(phrasings, key, 1)
        yield Example(phrasing.format(**words), sentence, item, kind)
        start = max(0, min(at - zlib.crc32(key.encode()) % _EXCERPT, len(told) - _EXCERPT))
        beside = told[start : start + _EXCERPT]
        if len(beside) < 2 or len({text for _, _, text in beside}) < len(beside):
            continue
        words["excerpt"] = "\n\n".join(f"{each.tag}\n{text}" for each, _, text in beside)
        [read], [find] = chosen(_READ, key, 1), chosen(_FIND, key, 1)
        yield Example(read.format(**words), sentence, item, "ja_read", given=True)
        yield Example(find.format(**words), f"{entry.tag} です。", item, "ja_find", given=True)


def _translated(page: Page, english: Page, item: str) -> Iterator[Example]:
    for kind, phrasings, text, answer in (
        ("to_japanese", TO_JAPANESE, english.about, page.about),
        ("to_english", TO_ENGLISH, page.about, english.about),
    ):
        [phrasing] = chosen(phrasings, f"{kind} {text}", 1)
        yield Example(phrasing.format(text=text), answer, item, kind)


def _tag(entry: Entry) -> str | None:
    """What a question calls an entry: an error, or the first form of an option."""
    if len(entry.tag) > 60 or _SAME_EVERYWHERE.search(entry.tag):
        return None
    if _ERRNO.fullmatch(entry.tag):
        return entry.tag
    found = _OPTION_TAG.match(entry.tag)
    return found[0] if found else None


def _first(entry: Entry) -> str | None:
    """The first sentence of what is said, or None where none can stand alone."""
    end = _ENDS.search(entry.text)
    sentence = entry.text[: end.end()] if end else entry.text
    whole = all(sentence.count(pair[0]) == sentence.count(pair[1]) for pair in _BRACKETS)
    if not whole or not 6 <= len(sentence) <= _LONGEST or not _KANA.search(sentence):
        return None
    return None if sentence[-1] in ":\uff1a、," else _closed(sentence)


def _closed(sentence: str) -> str:
    return sentence if sentence[-1] in "。.!?\uff01\uff1f" else f"{sentence}。"
