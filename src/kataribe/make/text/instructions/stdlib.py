"""Questions about functions: what they do, how they are called, where they are.

Some can be answered only by who has read the library; others hold what the answer needs (a
signature, a body), so that a small model can learn to answer them for functions it never saw.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator

from kataribe.make.text.instructions.examples import Example
from kataribe.make.text.instructions.functions import Function

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
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def questions_about(functions: Iterable[Function]) -> Iterator[Example]:
    """All questions about all functions; those about one function share its item.

    Functions that say the same sentence are one item: an answer is never on both sides.
    """
    known = list({each.qualified: each for each in functions}.values())
    modules = Counter(each.name for each in known)
    for function in known:
        yield from _about(function, alone=modules[function.name] == 1)


def _about(function: Function, *, alone: bool) -> Iterator[Example]:
    count = len(function.arguments)
    answers = [
        ("does", _DOES, function.sentence),
        ("which", _WHICH, f"{function.qualified} does that."),
        ("signature", _SIGNATURE, function.signature),
        ("import", _IMPORT, f"from {function.module} import {function.name.partition('.')[0]}"),
        ("arguments", _ARGUMENTS, _listed(function)),
    ]
    if alone:
        answers.append(("module", _MODULE, f"{function.name} is in the module {function.module}."))
    if count < len(_NUMBERS):
        number = f"{_NUMBERS[count]} argument{'' if count == 1 else 's'}"
        answers.append(("count", _COUNT, f"It takes {number}."))
    if function.source is not None:
        answers.append(("code", _CODE, function.sentence))
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
        for phrasing in chosen(
            phrasings, f"{function.qualified} {kind}", 2 if kind == "does" else 1
        ):
            yield Example(phrasing.format(**words), answer, function.sentence, kind)


def _listed(function: Function) -> str:
    names = [
        argument.name
        if argument.default is None
        else f"{argument.name} (default {argument.default})"
        for argument in function.arguments
    ]
    if not names:
        return "It takes no arguments."
    if len(names) == 1:
        return f"It takes {names[0]}."
    return f"It takes {', '.join(names[:-1])} and {names[-1]}."


def chosen(phrasings: tuple[str, ...], key: str, count: int) -> list[str]:
    """Some of the phrasings, told by the key: the same for the same, all of them in turn."""
    start = zlib.crc32(key.encode("utf-8", "replace"))
    return [phrasings[(start + step) % len(phrasings)] for step in range(count)]
