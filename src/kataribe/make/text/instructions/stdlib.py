"""Questions about functions: what they do, how they are called, where they are.

Some can be answered only by who has read the library; others hold what the answer needs (a
signature, a body), so that a small model can learn to answer them for functions it never saw.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kataribe.make.text.instructions.examples import Example
from kataribe.make.text.instructions.functions import Function
from kataribe.make.text.instructions.groups import Groups

_DOES = (
    "What does {qualified} do?",
    "Describe {qualified} in one sentence.",
    "What is {qualified} for?",
    "Tell me what the function {name} of the module {module} does.",
)
_WHICH = (
    "Which function of {module} does this: {sentence}",
    "Name the function of the module {module} with this description: {sentence}",
)
_SIGNATURE = ("Write the signature of {qualified}.", "How is {qualified} called?")
_IMPORT = ("How do I import {top} from {module}?", "Write the import of {top} from {module}.")
_MODULE = ("In which module is {name}?", "Which module has {name}?")
_ARGUMENTS = (
    "Which arguments does {signature} take?",
    "List the arguments of this function: {signature}",
)
_COUNT = (
    "How many arguments does {signature} take?",
    "Count the arguments of this function: {signature}",
)
_CODE = (
    "What does this function do?\n\n{source}",
    "Describe this function in one sentence.\n\n{source}",
)
_JA_WHICH = (
    "モジュール {module} で、次のことをする関数は何ですか。\n{sentence}",
    "{module} の中から、次の説明に当たる関数を答えてください。\n{sentence}",
)
_JA_SIGNATURE = (
    "{qualified} はどう呼び出しますか。",
    "{qualified} のシグネチャを書いてください。",
)
_JA_IMPORT = (
    "{module} から {top} を import するにはどう書きますか。",
    "{module} の {top} を import する文を書いてください。",
)
_JA_ARGUMENTS = (
    "次の関数の引数を挙げてください。\n{signature}",
    "{signature} にはどんな引数がありますか。",
)
_JA_COUNT = (
    "次の関数の引数はいくつありますか。\n{signature}",
    "{signature} の引数の数を答えてください。",
)
_JA_MODULE = ("{name} はどのモジュールにありますか。", "{name} を持つモジュールは何ですか。")
_GIVEN = ("arguments", "count")
"""Kinds whose answer stands in the question."""
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True, slots=True)
class _Known:
    """A function, and what only all of them together tell about it."""

    function: Function
    item: str
    """What belongs together: the functions of a class, and those with the same sentence."""
    alone: bool
    """No other module has one of that name."""


def questions_about(functions: Iterable[Function]) -> Iterator[Example]:
    """All questions about all functions, in English.

    Methods of one class are one item, as their import is the same, and so are functions that say
    the same sentence: an answer is never on both sides. The largest such item of Python 3.11 is
    tkinter's, 151 of 4,310 functions.
    """
    for known in _known(functions):
        yield from _about(known)


def japanese_questions_about(functions: Iterable[Function]) -> Iterator[Example]:
    """Those in Japanese whose answers the library supports; the items are the same."""
    for known in _known(functions):
        yield from _about_in_japanese(known)


def _known(functions: Iterable[Function]) -> Iterator[_Known]:
    known = list({each.qualified: each for each in functions}.values())
    modules = Counter(each.name for each in known)
    groups = Groups()
    for function in known:
        groups.join(_top(function), f"says {function.sentence}")
    for function in known:
        yield _Known(function, groups.find(_top(function)), modules[function.name] == 1)


def _top(function: Function) -> str:
    """The function or the class that is imported for it."""
    return f"{function.module}.{function.name.partition('.')[0]}"


def _about(known: _Known) -> Iterator[Example]:
    function, count = known.function, len(known.function.arguments)
    answers = [
        ("does", _DOES, function.sentence),
        ("which", _WHICH, f"{function.qualified} does that."),
        ("signature", _SIGNATURE, function.signature),
        ("import", _IMPORT, _import(function)),
        ("arguments", _ARGUMENTS, _listed(function)),
    ]
    if known.alone:
        answers.append(("module", _MODULE, f"{function.name} is in the module {function.module}."))
    if count < len(_NUMBERS):
        number = f"{_NUMBERS[count]} argument{'' if count == 1 else 's'}"
        answers.append(("count", _COUNT, f"It takes {number}."))
    if function.source is not None:
        answers.append(("code", _CODE, function.sentence))
    yield from _asked(known, answers, twice="does")


def _about_in_japanese(known: _Known) -> Iterator[Example]:
    function, count = known.function, len(known.function.arguments)
    answers = [
        ("ja_which", _JA_WHICH, f"{function.qualified} です。"),
        ("ja_signature", _JA_SIGNATURE, function.signature),
        ("ja_import", _JA_IMPORT, _import(function)),
        ("ja_arguments", _JA_ARGUMENTS, _listed_in_japanese(function)),
        ("ja_count", _JA_COUNT, f"引数は {count} 個です。" if count else "引数はありません。"),
    ]
    if known.alone:
        answer = f"{function.name} はモジュール {function.module} にあります。"
        answers.append(("ja_module", _JA_MODULE, answer))
    yield from _asked(known, answers)


def _asked(
    known: _Known, answers: Sequence[tuple[str, tuple[str, ...], str]], twice: str = ""
) -> Iterator[Example]:
    function = known.function
    words = {
        "qualified": function.qualified,
        "name": function.name,
        "top": function.name.partition(".")[0],
        "module": function.module,
        "sentence": function.sentence,
        "signature": function.signature,
        "source": function.source or "",
    }
    for kind, phrasings, answer in answers:
        given = kind.removeprefix("ja_") in _GIVEN
        count = 2 if kind == twice else 1
        for phrasing in chosen(phrasings, f"{function.qualified} {kind}", count):
            yield Example(phrasing.format(**words), answer, known.item, kind, given)


def _import(function: Function) -> str:
    return f"from {function.module} import {function.name.partition('.')[0]}"


def _listed(function: Function) -> str:
    names = _names(function, " (default {})")
    if not names:
        return "It takes no arguments."
    if len(names) == 1:
        return f"It takes {names[0]}."
    return f"It takes {', '.join(names[:-1])} and {names[-1]}."


def _listed_in_japanese(function: Function) -> str:
    names = _names(function, "(既定値 {})")
    return f"引数は {'、'.join(names)} です。" if names else "引数はありません。"


def _names(function: Function, default: str) -> list[str]:
    return [
        each.name if each.default is None else each.name + default.format(each.default)
        for each in function.arguments
    ]


def chosen(phrasings: tuple[str, ...], key: str, count: int) -> list[str]:
    """Some of the phrasings, told by the key: the same for the same, all of them in turn."""
    start = zlib.crc32(key.encode("utf-8", "replace"))
    return [phrasings[(start + step) % len(phrasings)] for step in range(count)]
