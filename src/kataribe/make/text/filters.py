"""Quality filters: small tests, each with its limit and its reason.

They follow the rules of Gopher (Rae et al. 2021, table A1) where those can be said without words:
Japanese has no spaces, so repetition is counted in windows of characters, and a text's length in
characters. Limits for source code are those of The Stack (Kocetkov et al. 2022). What each limit
drops from the standard library and from Japanese literature is in docs/text.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kataribe.base.errors import InputError
from kataribe.make.text.facts import Facts


@dataclass(frozen=True, slots=True)
class Filter:
    """One reason to drop a text."""

    name: str
    """What the card and `--filter-off` call it."""
    reason: str
    """Why such a text teaches nothing good, with the limit."""
    drops: Callable[[Facts], bool]
    """Whether the text goes."""


SHORTEST = 100
"""Characters; Gopher asks for 50 words, some 250 characters of English or 100 of Japanese."""
_GENERATED = re.compile(
    r"auto[- ]?generated|(?:automatically|machine)[- ]generated|do not (?:edit|modify)\b|自動生成"
    r"|generated (?:from|by|with) ['\"]?[\w./\\-]+\.(?:txt|py|pl|c|h|in|xml|json|proto|y|g|asdl)\b"
    r"|^\W*(?:(?:this )?(?:file|code) (?:is |was )?)?generated (?:by|from|on)\b",
    re.IGNORECASE | re.MULTILINE,
)
_STOCK_PHRASES = (
    "all rights reserved", "terms of use", "terms of service", "privacy policy",
    "cookie policy", "use cookies", "uses cookies", "accept cookies",
    "javascript is", "javascript must", "lorem ipsum", "subscribe", "log in", "login", "sign in",
    "sign up", "copyright ©", "click here", "skip to content", "無断転載", "利用規約",
    "プライバシーポリシー", "個人情報保護", "ログイン", "会員登録", "お問い合わせ", "サイトマップ",
    "ページの先頭", "javascriptを有効",
)  # fmt: skip
_LICENCE = re.compile(r"licen[cs]e|copyright|spdx|著作権|ライセンス", re.IGNORECASE)
_COMMENT = re.compile(r"^\s*(?:#|//|/\*|\*|--|;|%).*$", re.MULTILINE)
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{2000,}")


def _is_short(facts: Facts) -> bool:
    return facts.visible < SHORTEST


def _is_broken(facts: Facts) -> bool:
    return facts.replaced > 0.01


def _has_long_lines(facts: Facts) -> bool:
    if facts.is_code:
        return facts.mean_line > 100 or facts.longest_line > 1000
    return facts.longest_line > 20_000 and _BASE64.search(facts.text) is not None


def _has_few_letters(facts: Facts) -> bool:
    return facts.letters < (0.4 if facts.is_code else 0.6)


def _is_one_symbol(facts: Facts) -> bool:
    return facts.commonest_symbol[1] > (0.3 if facts.is_code else 0.2)


def _repeats_lines(facts: Facts) -> bool:
    return facts.repeated_lines > (0.5 if facts.is_code else 0.3)


def _repeats_windows(facts: Facts) -> bool:
    return facts.repeated_windows > (0.6 if facts.is_code else 0.3)


def _is_boilerplate(facts: Facts) -> bool:
    if facts.is_code:
        return False
    there = [phrase for phrase in _STOCK_PHRASES if phrase in facts.compared]
    if not there:
        return False
    filled = [line for line in facts.lines if line.strip()]
    stock = sum(1 for line in filled if len(line) < 200 and any(p in line.lower() for p in there))
    return stock > 0.3 * len(filled)


def _is_generated(facts: Facts) -> bool:
    return facts.is_code and _GENERATED.search(facts.text[:1000]) is not None


def _is_licence_only(facts: Facts) -> bool:
    if not facts.is_code or len(facts.text) > 20_000 or not _LICENCE.search(facts.text):
        return False
    return len("".join(_COMMENT.sub("", facts.text).split())) < 40


FILTERS = (
    Filter(
        "too_short",
        f"fewer than {SHORTEST} visible characters: no context to learn from",
        _is_short,
    ),
    Filter(
        "broken_text",
        "over 1 % of the characters could not be decoded (U+FFFD)",
        _is_broken,
    ),
    Filter(
        "long_lines",
        "code with lines of over 100 characters on average or one of over 1,000 (minified, or "
        "tables of data); prose with encoded data in a line of over 20,000",
        _has_long_lines,
    ),
    Filter(
        "few_letters",
        "letters are under 60 % of the visible characters (code: 40 %): tables, numbers, rulers",
        _has_few_letters,
    ),
    Filter(
        "one_symbol",
        "one symbol is over 20 % of the visible characters (code: 30 %): rulers, drawings, leaders",
        _is_one_symbol,
    ),
    Filter(
        "repeated_lines",
        "over 30 % of the text stands in lines that occurred before (code: 50 %)",
        _repeats_lines,
    ),
    Filter(
        "repeated_text",
        "over 30 % of the windows of 24 characters occurred before (code: 60 %)",
        _repeats_windows,
    ),
    Filter(
        "boilerplate",
        "over 30 % of the lines are a web site's stock phrases (privacy policy, log in, 利用規約)",
        _is_boilerplate,
    ),
    Filter(
        "generated",
        "code whose first 1,000 characters say that a program wrote it",
        _is_generated,
    ),
    Filter(
        "licence_only",
        "code that is a licence's comment and fewer than 40 characters more",
        _is_licence_only,
    ),
)
"""In the order in which they are asked; the first that drops a text is counted."""

NAMES = tuple(each.name for each in FILTERS)


def chosen_filters(off: tuple[str, ...]) -> tuple[Filter, ...]:
    """All filters but those named; `all` names every one. `InputError` for an unknown name."""
    for name in off:
        if name != "all" and name not in NAMES:
            raise InputError(
                f"There is no filter {name!r}; there are: {', '.join(NAMES)}, and all.",
                param="filters_off",
            )
    return () if "all" in off else tuple(each for each in FILTERS if each.name not in off)


def first_that_drops(facts: Facts, filters: tuple[Filter, ...]) -> Filter | None:
    """The first filter that drops the text, if one does."""
    return next((each for each in filters if each.drops(facts)), None)
