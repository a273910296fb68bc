"""Ordinary text of both languages: what guards must leave alone.

What the guards were made and tuned with comes from other sources than what they are measured on,
except for the standard library (other modules) and the problems (other ones). Everything is
either made here, part of the machine (Python's library, Debian's pages), or in the folder of data
sets; where that folder is missing, its sources are left out and the report says so.
"""

from __future__ import annotations

import ast
import gettext
import gzip
import json
import random
import re
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zstandard

DATA = Path(__file__).parents[3] / "shared" / "data"
"""Where the data sets lie in a development checkout; `--data` names another place."""
_PAGES = Path("/usr/share/man")
_PAPERS = Path("/usr/share/doc")
_CATALOGUES = Path("/usr/share/locale/ja/LC_MESSAGES")
_BOOKS = Path("/usr/share/info")
_DOCUMENTED = (ast.FunctionDef, ast.ClassDef, ast.Module)


@dataclass(frozen=True)
class Text:
    """One text, its language and source, and whether a user would say it."""

    text: str
    language: str
    source: str
    kind: Literal["user", "document"] = "document"


Source = Callable[[Path, random.Random], Iterator[Text]]


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, compressed or not."""
    if path.suffix == ".zst":
        raw = zstandard.decompress(path.read_bytes()).decode()
    else:
        raw = path.read_text(encoding="utf-8")
    for line in raw.split("\n"):  # text holds line separators of other kinds
        if line:
            yield json.loads(line)


def piece(text: str, draw: random.Random, least: int = 60, most: int = 1200) -> str:
    """A stretch of a text, of some length."""
    size = int(least * (most / least) ** draw.random())
    start = draw.randrange(max(1, len(text) - size))
    return text[start : start + size].strip()


def joined(text: str) -> str:
    """An English sentence of the parallel corpus, its words put together again."""
    text = re.sub(r" ([.,!?;:'])", r"\1", text.replace(" n't", "n't").replace(" 's", "'s"))
    return re.sub(r"' (\w+)", r"'\1", text)


def library(first: str, last: str) -> list[str]:
    """Sources of the standard library whose names begin with letters in a range."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    names = (path for path in sorted(folder.glob("*.py")) if first <= path.name[0] <= last)
    return [path.read_text(encoding="utf-8") for path in names]


def docstrings(sources: list[str]) -> list[str]:
    """What the sources say about themselves."""
    nodes = (node for source in sources for node in ast.walk(ast.parse(source)))
    said = (ast.get_docstring(node) for node in nodes if isinstance(node, _DOCUMENTED))
    return [text for text in said if text and len(text) > 60]


def topics() -> list[str]:
    """Python's reference, by topic; its articles are long."""
    path = Path(sysconfig.get_paths()["stdlib"]) / "pydoc_data" / "topics.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [text for text in strings if isinstance(text, str) and len(text) > 500]


def manual(language: str) -> list[str]:
    """Debian's manual pages without their markup, about."""
    folder = _PAGES / "ja" if language == "ja" else _PAGES
    found = []
    for path in sorted(folder.glob("man[158]/*.gz"))[:600]:
        raw = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        rows = (re.sub(r"^\.[A-Za-z]{1,3} ?", "", row) for row in raw.splitlines())
        kept = (row for row in rows if not row.startswith((".", "'", '\\"')))
        text = re.sub(r"\\f.|\\[&|%]|\\\(..", "", "\n".join(kept)).replace("\\-", "-")
        if len(text) > 500:
            found.append(text)
    return found


def _aozora(data: Path, draw: random.Random) -> Iterator[Text]:
    works = list(lines(data / "aozora" / "aozora-train.jsonl.zst"))
    for work in draw.sample(works, 1800):
        yield Text(piece(work["text"], draw, most=6000), "ja", "aozora, train")


def _pairs(data: Path, draw: random.Random) -> Iterator[Text]:
    pairs = list(lines(data / "enja" / "enja-train.jsonl"))
    for place, pair in enumerate(draw.sample(pairs, 1600)):
        kind: Literal["user", "document"] = "user" if place % 2 else "document"
        yield Text(joined(pair["en"]), "en", "sentences", kind)
        yield Text(pair["ja"], "ja", "sentences", kind)


def _problems(part: slice, count: int) -> Source:
    def read(data: Path, draw: random.Random) -> Iterator[Text]:
        problems = list(lines(data / "gsm8k" / "gsm8k-train.jsonl"))[part]
        for problem in draw.sample(problems, count):
            yield Text(problem["question"], "en", "problems", "user")
            yield Text(problem["answer"], "en", "problems")

    return read


def _stdlib(first: str, last: str, count: int) -> Source:
    def read(data: Path, draw: random.Random) -> Iterator[Text]:
        del data
        sources = library(first, last)
        said = docstrings(sources)
        for text in draw.sample(said, min(count, len(said))):
            yield Text(text[:6000], "en", "docstrings")
        for _ in range(count // 2):
            kind: Literal["user", "document"] = draw.choice(("user", "document"))
            yield Text(piece(draw.choice(sources), draw), "en", "code", kind)

    return read


def _reference(data: Path, draw: random.Random) -> Iterator[Text]:
    del data
    articles = topics()
    for _ in range(500):
        yield Text(piece(draw.choice(articles), draw, 100, 4000), "en", "reference")


def _printed(data: Path, draw: random.Random) -> Iterator[Text]:
    """Books about programs and lists of their changes; measured are their manual pages."""
    del data
    for folder, form, count in ((_BOOKS, "*.info*.gz", 500), (_PAPERS, "*/changelog*.gz", 300)):
        paths = sorted(path for path in folder.glob(form) if path.is_file())
        for path in draw.sample(paths, min(60, len(paths))):
            text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
            for _ in range(count // min(60, len(paths))):
                yield Text(piece(text, draw, 100, 6000), "en", "books and changes")


def messages() -> list[tuple[list[str], list[str]]]:
    """What programs say, in English and in Japanese, catalogue by catalogue."""
    found = []
    for path in sorted(_CATALOGUES.glob("*.mo")):
        if not path.name.startswith("iso_"):  # lists of names
            with path.open("rb") as file:
                said = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
            pairs = [(key, text) for key, text in said.items() if isinstance(key, str) and key]
            found.append(([key for key, _ in pairs], [text for _, text in pairs]))
    return [each for each in found if len(each[0]) > 20]


def _messages(data: Path, draw: random.Random) -> Iterator[Text]:
    del data
    catalogues = messages()
    for language, count in (("en", 300), ("ja", 700)):
        for _ in range(count if catalogues else 0):
            said = draw.choice(catalogues)[language == "ja"]
            size, start = int(60 * 100 ** draw.random()), draw.randrange(len(said))
            yield Text("\n".join(said[start : start + 200])[:size], language, "messages")


def _squad(data: Path, draw: random.Random) -> Iterator[Text]:
    paragraphs = list(lines(data / "jglue" / "jsquad-valid.jsonl"))
    for each in draw.sample(paragraphs, 500):
        yield Text(each["context"].partition("[SEP] ")[2], "ja", "encyclopedia")
        yield Text(each["qas"][0]["question"], "ja", "questions", "user")


def _glue(data: Path, draw: random.Random) -> Iterator[Text]:
    for each in draw.sample(list(lines(data / "jglue" / "jcommonsenseqa-valid.jsonl")), 400):
        yield Text(each["question"], "ja", "questions", "user")
    for each in draw.sample(list(lines(data / "jglue" / "jsts-valid.jsonl")), 200):
        yield Text(each["sentence1"], "ja", "captions")
    for each in draw.sample(list(lines(data / "ner" / "ner-wikipedia-ja-valid.jsonl")), 300):
        yield Text(each["text"], "ja", "encyclopedia")


def _valid(data: Path, draw: random.Random) -> Iterator[Text]:
    works = list(lines(data / "aozora" / "aozora-valid.jsonl.zst"))
    for place in range(400):
        text = works[place % len(works)]["text"]
        yield Text(piece(text, draw, 100, 8000), "ja", "literature")


def _reviews(data: Path, draw: random.Random) -> Iterator[Text]:
    reviews = list(lines(data / "sentiment" / "sentence-polarity-valid.jsonl"))
    for each in draw.sample(reviews, 500):
        yield Text(each["text"], "en", "reviews")


def _instructions(data: Path, draw: random.Random) -> Iterator[Text]:
    del draw
    for each in lines(data / "instructions" / "self-instruct-seed-tasks.jsonl"):
        given = each["instances"][0]["input"]
        yield Text(f"{each['instruction']}\n{given}".strip(), "en", "instructions", "user")
        if len(said := each["instances"][0]["output"]) > 40:
            yield Text(said, "en", "answers")


def _debian(data: Path, draw: random.Random) -> Iterator[Text]:
    del data
    for language, count in (("en", 400), ("ja", 300)):
        pages = manual(language)
        for _ in range(count if pages else 0):
            yield Text(piece(draw.choice(pages), draw, 100, 8000), language, "manual pages")
    papers = [*_PAPERS.glob("*/README*"), *_PAPERS.glob("*/copyright")]
    plain = [path for path in sorted(papers) if path.is_file() and path.suffix != ".gz"]
    for path in draw.sample(plain, min(300, len(plain))):
        text = path.read_text(encoding="utf-8", errors="replace")
        yield Text(piece(text, draw, 200, 8000), "en", "READMEs and licences")


MADE_WITH: Mapping[str, tuple[Source, ...]] = {
    "aozora": (_aozora,),
    "enja": (_pairs,),
    "gsm8k": (_problems(slice(0, 3700), 500),),
    "": (_stdlib("a", "m", 1400), _reference, _printed, _messages),
}
"""Sources that the weights are made and tuned with, by the data set that they need."""

MEASURED_ON: Mapping[str, tuple[Source, ...]] = {
    "jglue": (_squad, _glue),
    "aozora": (_valid,),
    "sentiment": (_reviews,),
    "instructions": (_instructions,),
    "gsm8k": (_problems(slice(3700, None), 200),),
    "": (_stdlib("n", "z", 400), _debian),
}
"""Sources that the guards are measured on."""


def made_with(data: Path, seed: int = 1) -> list[Text]:
    """Texts for making and tuning."""
    return _gathered(MADE_WITH, data, seed)


def measured_on(data: Path, seed: int = 2) -> list[Text]:
    """Texts for measuring."""
    return _gathered(MEASURED_ON, data, seed)


def missing(data: Path) -> list[str]:
    """Data sets that are not there."""
    names = {*MADE_WITH, *MEASURED_ON} - {""}
    return sorted(name for name in names if not (data / name).is_dir())


def _gathered(sources: Mapping[str, tuple[Source, ...]], data: Path, seed: int) -> list[Text]:
    draw = random.Random(seed)
    found = [
        text
        for name, readers in sources.items()
        if (data / name).is_dir()
        for reader in readers
        for text in reader(data, draw)
    ]
    return [text for text in found if text.text.strip()]
