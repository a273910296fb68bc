"""Files and folders as passages: what is found, in what order, and what is refused."""

from __future__ import annotations

import math
import os
import random
import threading
import tracemalloc

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


@pytest.fixture
def nothing_kept():
    passages._kept.cache_clear()
    yield
    passages._kept.cache_clear()


def words(count, seed):
    draw = random.Random(seed)
    return [f"{draw.getrandbits(40):x}" for _ in range(count)]


@pytest.mark.usefixtures("nothing_kept")
async def test_what_takes_too_much_memory_is_refused_with_the_place(tmp_path, monkeypatch):
    (tmp_path / "small.txt").write_text("The shop opens at nine.\n")
    (tmp_path / "data.txt").write_text("\n\n".join(words(5000, 1)))
    monkeypatch.setattr(passages, "MOST_KEPT", 300_000)
    message = r"more than 300,000 bytes of memory to search: that much is reached at data\.txt:"
    with pytest.raises(InputError, match=message):
        await search_in(files_in([tmp_path]))("shop", 3)
    with pytest.raises(InputError, match=message):
        read_now(files_in([tmp_path]))
    assert await found([tmp_path / "small.txt"], "shop") == ["small.txt:1"]


@pytest.mark.usefixtures("nothing_kept")
async def test_what_is_kept_is_bounded_in_bytes_and_in_number(tmp_path, monkeypatch):
    sets = []
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"shop {' '.join(words(100, number))}")
        sets.append(files_in([tmp_path / f"{number}.txt"]))
    kept = passages._kept()
    for files in sets:
        read_now(files)
    assert [kept.find(files) is not None for files in sets] == [False] * 4 + [True] * 16
    one = kept.find(sets[-1]).size
    monkeypatch.setattr(passages, "MOST_KEPT", 3 * one + one // 2)
    read_now(sets[0])
    assert [at for at, files in enumerate(sets) if kept.find(files) is not None] == [0, 18, 19]
    assert kept._size() <= passages.MOST_KEPT
    assert [each.source for each in await search_in(sets[1])("shop", 1)] == ["1.txt:1"]


@pytest.mark.usefixtures("nothing_kept")
async def test_files_are_read_once_while_they_stay_as_they_are(tmp_path, monkeypatch):
    read, text_of_file = [], passages._text

    def noted(file):
        read.append(threading.get_ident())
        return text_of_file(file)

    monkeypatch.setattr(passages, "_text", noted)
    path = tmp_path / "a.txt"
    path.write_text("one")
    for word in ("one", "one", "two", "two"):
        if word == "two" and path.read_text() != word:
            path.write_text(word)
            os.utime(path, ns=(1, 1))
        assert await found([tmp_path], word) == ["a.txt:1"]
    assert len(read) == 2
    assert threading.get_ident() not in read
    assert len(passages._kept()._known) == 1  # of how it stood before, nothing


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("kind", ["words", "data", "日本語"])
def test_the_memory_that_is_counted_is_what_is_taken(tmp_path, kind):
    draw = random.Random(3)
    known = {"words": words(2000, 4), "data": words(40_000, 5)}.get(kind) or [
        chr(0x4E00 + draw.randrange(2000)) for _ in range(3000)
    ]
    gap = "" if kind == "日本語" else " "
    lines = [gap.join(draw.choices(known, k=60)) for _ in range(1500)]
    (tmp_path / "a.txt").write_text("\n\n".join(lines))
    files = files_in([tmp_path])
    tracemalloc.start()
    try:
        read_now(files)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counted = passages._kept().find(files).size
    assert taken < 1.25 * counted < 2 * taken


def test_a_file_that_grew_since_it_was_listed_is_not_read_whole(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("12345")
    files = files_in([tmp_path])
    monkeypatch.setattr(passages, "LARGEST", 5)
    (tmp_path / "a.txt").write_text("1234567")
    with pytest.raises(InputError, match=r"a\.txt has more than 5 bytes by now"):
        read_now(files)


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
