"""Files and folders as passages: what is found, in what order, and what is refused."""

from __future__ import annotations

import math
import os
import random

import numpy as np
import pytest

from kataribe.base.encoders import Embedding
from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.store.cutting import cut
from kataribe.use.prompts import passages
from kataribe.use.prompts.passages import by_meaning, files_in, read_now, search_in
from kataribe.use.prompts.retrieval import Passage


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "docs"
    (folder / "deep" / ".git").mkdir(parents=True)
    (folder / "shop.txt").write_text(
        "The shop opens at nine.\n\nThe cat is called Tama.\n\nBread costs two euros.\n"
    )
    (folder / "deep" / "店.md").write_text("# 店\n営業時間は九時からです。\n")
    (folder / "old.txt").write_bytes("昔の定休日は水曜日です。".encode("cp932"))
    (folder / "picture.png").write_bytes(b"\x89PNG\0\0 shop")
    (folder / ".hidden.txt").write_text("hidden shop")
    (folder / "deep" / ".git" / "config.txt").write_text("shop")
    (tmp_path / "secret.txt").write_text("secret shop")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


async def found(paths, query, most=9):
    return [each.source for each in await search_in(files_in(paths))(query, most)]


async def test_a_folder_is_searched_with_those_in_it(folder):
    assert await found([folder], "When does the shop open?") == ["shop.txt:1", "shop.txt:3"]
    assert await found([folder], "営業時間") == ["deep/店.md:1"]
    assert await found([folder], "定休日") == ["old.txt:1"]
    assert await found([folder], "shop", most=1) == ["shop.txt:1"]
    assert await found([folder], "secret hidden zebra") == []
    assert await found([folder / "shop.txt", folder], "bread") == ["shop.txt:5"]


async def test_the_order_is_that_of_the_plain_formula(tmp_path):
    """Each score worked out for itself, over passages drawn at random."""
    draw = random.Random(7)
    words = [f"w{number}" for number in range(30)]
    texts = [" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(60)]
    (tmp_path / "a.txt").write_text("\n\n".join(texts))
    search = search_in(files_in([tmp_path / "a.txt"]))
    for _ in range(20):
        query = " ".join(draw.sample(words, 4))
        scores = []
        for text in texts:
            score = 0.0
            for word in set(cut(query).split()):
                if word in text.split():
                    having = sum(word in other.split() for other in texts)
                    score += math.log(1 + len(texts) / having)
            scores.append(score)
        best = [s for s in sorted(scores, reverse=True) if s > 0][:5]
        given = [scores[texts.index(each.text)] for each in await search(query, 5)]
        assert given == pytest.approx(best)


async def test_a_file_that_changes_is_read_again(folder):
    assert await found([folder], "zebra") == []
    (folder / "shop.txt").write_text("A zebra.\n")
    stamp = (folder / "shop.txt").stat().st_mtime_ns + 1
    os.utime(folder / "shop.txt", ns=(stamp, stamp))
    assert await found([folder], "zebra") == ["shop.txt:1"]


def test_long_texts_are_parted_where_lines_end(tmp_path):
    lines = [f"line {number} " + "x" * 90 for number in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    (file,) = files_in([tmp_path / "a.txt"])
    parts = list(passages._passages(file))
    assert "\n".join(part.text for part in parts).splitlines() == lines
    assert all(len(part.text) <= passages.LONGEST + 20 for part in parts)
    assert [part.source for part in parts][:2] == ["a.txt:1", "a.txt:13"]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda at: at / "gone", NotFoundError, "There is no file or folder"),
        (lambda at: at / "a\0b", NotFoundError, "There is no file or folder"),
        (lambda at: at / ("x" * 300), StorageError, "cannot be read"),
        (lambda at: _with(at / "b.bin", b"\0\1\2"), InputError, "is no text file (3 bytes)"),
        (lambda at: _with(at / "e.txt", b" \n\n"), InputError, "is empty"),
        (lambda at: _with(at / "f" / "b.bin", b"\0").parent, InputError, "no text to search"),
        (lambda at: _with(at / "g" / ".x", b"x").parent, InputError, "no text to search"),
    ],
)
def test_what_cannot_be_searched_is_said(tmp_path, make, error, words):
    with pytest.raises(error) as raised:
        read_now(files_in([make(tmp_path)]))
    assert words in raised.value.message


def _with(path, data):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def test_too_much_is_refused_before_it_is_read(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("12345")
    monkeypatch.setattr(passages, "LARGEST", 14)
    with pytest.raises(InputError, match="more than 14 bytes"):
        files_in([tmp_path])
    monkeypatch.setattr(passages, "LARGEST", 15)
    assert len(files_in([tmp_path])) == 3
    monkeypatch.setattr(passages, "MOST_FILES", 2)
    with pytest.raises(InputError, match="or 2 files"):
        files_in([tmp_path])


class Letters:
    """Vectors of how often each letter is there; keeps what it was asked."""

    name = "letters"
    dimensions = 26
    max_tokens = passages._COMPARED
    kinds = ("query", "passage")

    def __init__(self):
        self.asked = []

    async def embed(self, texts, kind=None):
        self.asked.append((kind, tuple(texts)))
        assert all(len(text) <= self.max_tokens for text in texts)
        rows = [[text.count(chr(97 + at)) for at in range(26)] for text in texts]
        return Embedding(np.asarray(rows, dtype=np.float32), sum(map(len, texts)))


async def test_by_meaning_orders_what_words_have_found():
    known = [Passage("z" * 50, "z"), Passage("b" * 1000 + "aaa", "a"), Passage("ab", "ab")]
    asked = []

    async def search(query, most):
        asked.append((query, most))
        return known

    letters = Letters()
    near = await by_meaning(search, letters)("aa", 2)
    assert [each.source for each in near] == ["ab", "a"]
    assert asked == [("aa", 16)]
    assert [(kind, len(texts)) for kind, texts in letters.asked] == [("query", 1), ("passage", 5)]
    await by_meaning(search, letters)("a" * 5000, 40)
    assert asked[-1][1] == 40


@pytest.mark.parametrize(
    ("kinds", "told"), [((), [None, None]), (("query",), ["query", "passage"])]
)
async def test_what_tells_only_questions_apart_is_told_of_passages_too(kinds, told):
    async def search(_query, _most):
        return [Passage("a", "a"), Passage("b", "b")]

    letters = Letters()
    letters.kinds = kinds
    await by_meaning(search, letters)("a", 2)
    assert [kind for kind, _ in letters.asked] == told


async def test_a_single_passage_needs_no_vectors():
    async def search(_query, _most):
        return [Passage("x", "s")]

    letters = Letters()
    assert len(await by_meaning(search, letters)("a", 3)) == 1
    assert letters.asked == []
