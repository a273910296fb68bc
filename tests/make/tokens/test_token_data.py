"""Token data: what the tokenizer makes of a corpus, wholly or not at all, checked on opening."""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zstandard

from kataribe.base.errors import ChecksumError, FormatError, InputError, NotFoundError, StorageError
from kataribe.make.tokens import corpus_files, token_writer
from kataribe.make.tokens.corpus_files import CorpusFiles
from kataribe.make.tokens.document_marks import document_marks
from kataribe.make.tokens.kinds import KINDS, Kind
from kataribe.make.tokens.token_data import TokenData
from kataribe.make.tokens.token_writer import make_token_data
from tests.make.tokens import small_corpus, token_folders, trained

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return small_corpus.write_corpus(tmp_path / "corpus")


def _texts(corpus: Path, split: str) -> list[str]:
    lines = (corpus / f"{split}.jsonl").read_text("utf-8").split("\n")[:-1]
    return [json.loads(line)["text"] for line in lines]


@pytest.mark.parametrize("kind", KINDS)
def test_the_ids_are_those_of_each_text(kind: Kind, corpus: Path, tmp_path: Path) -> None:
    tokenizer = trained.tokenizer(kind)
    told: list[tuple[int, int]] = []
    data = make_token_data(
        corpus, tokenizer, tmp_path / "datasets", lambda *each: told.append(each)
    )
    marks = document_marks(tokenizer)
    assert data.splits == ("train", "valid")
    for split in data.splits:
        wanted: list[int] = []
        starts: list[int] = []
        size = empty = 0
        for text in _texts(corpus, split):
            ids = tokenizer.encode(text, special=False, add_bos=False)
            if not ids:
                empty += 1
                continue
            starts.append(len(wanted))
            wanted += [marks.begin, *ids, *([marks.end] if marks.writes_end else [])]
            size += len(text.encode())
        assert data.tokens(split).tolist() == wanted
        assert data.starts(split).tolist() == starts
        assert data.text_bytes(split) == size
        assert data.meta.splits[split].empty == empty
    assert data.tokens("train").dtype == np.uint16
    whole = sum(path.stat().st_size for path in CorpusFiles.find(corpus).splits.values())
    assert told[-1] == (whole, whole)
    assert TokenData.open(data.path, tokenizer=tokenizer).meta == data.meta


def test_what_is_there_is_opened_and_what_changed_is_made_anew(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, place = trained.tokenizer("bpe"), tmp_path / "datasets"
    first = make_token_data(corpus, tokenizer, place)
    made = (first.path / "train.bin").stat().st_mtime_ns
    assert make_token_data(corpus, tokenizer, place).path == first.path
    assert (first.path / "train.bin").stat().st_mtime_ns == made
    with (corpus / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "more"}\n')
    assert make_token_data(corpus, tokenizer, place).path != first.path
    assert make_token_data(corpus, trained.tokenizer("unigram"), place).path != first.path
    (first.path / "meta.json").unlink()  # as if it had been killed before the end
    assert len([each for each in place.iterdir() if each.is_dir()]) == 3


def test_files_of_other_kinds_are_read(tmp_path: Path) -> None:
    tokenizer, place = trained.tokenizer("bpe"), tmp_path / "datasets"
    lines = b'{"text": "one two"}\n\n{"text": "\xe4\xb8\x89"}\n'
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "b.jsonl.zst").write_bytes(zstandard.compress(lines))
    (tmp_path / "c.txt").write_text("one two", "utf-8")
    a, b, c = (
        make_token_data(tmp_path / name, tokenizer, place)
        for name in ("a.jsonl", "b.jsonl.zst", "c.txt")
    )
    assert a.tokens("train").tolist() == b.tokens("train").tolist()
    assert c.tokens("train").tolist() == a.tokens("train")[: int(a.starts("train")[1])].tolist()
    with pytest.raises(NotFoundError, match="no split 'valid'; they have train"):
        a.tokens("valid")


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text"', FormatError, "Line 2 of .* is not JSON"),
        ("a.jsonl", b'{"text": "\xff"}\n', FormatError, "Line 1 of .* is not JSON in UTF-8"),
        ("a.jsonl", b"[1]\n", FormatError, "is list, but has to be an object"),
        ("a.jsonl", b'{"txt": "x"}\n', FormatError, "Line 1 of .* has no text"),
        ("a.jsonl", b"", InputError, "corpus a has no text for training: of 0 documents"),
        ("a.jsonl", b'{"text": ""}\n', InputError, "of 1 documents none"),
        ("a.jsonl.zst", b"nothing", FormatError, "no whole Zstandard file"),
        ("a.txt", b"\x82\xa0", FormatError, "is not UTF-8"),
        ("a.docx", b"", InputError, "neither a corpus' folder nor a file of"),
    ],
)
def test_bad_corpora_leave_nothing_behind(
    tmp_path: Path, name: str, content: bytes, error: type[Exception], words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    place = tmp_path / "datasets"
    with pytest.raises(error, match=words):
        make_token_data(tmp_path / name, trained.tokenizer("bpe"), place)
    assert [each for each in place.glob("*") if each.is_dir()] == []
    with pytest.raises(NotFoundError):
        make_token_data(tmp_path / "nothing", trained.tokenizer("bpe"), place)
    place.mkdir(exist_ok=True)
    with pytest.raises(NotFoundError, match=r"no train\.jsonl"):
        make_token_data(place, trained.tokenizer("bpe"), place)


def test_validation_texts_that_are_trained_on_are_refused(corpus: Path, tmp_path: Path) -> None:
    with (corpus / "train.jsonl").open("a", encoding="utf-8") as file:
        for text in _texts(corpus, "valid")[:3]:
            file.write(json.dumps({"text": f"  {text.upper().lower()}\n"}) + "\n")
    place = tmp_path / "datasets"
    with pytest.raises(
        InputError, match=r"^3 of the \d+ .* of valid.jsonl stand in train.jsonl"
    ) as it:
        make_token_data(corpus, trained.tokenizer("bpe"), place)
    assert it.value.code == "validation_overlaps"
    assert " ".join(_texts(corpus, "valid")[0].lower().split())[:20] in str(it.value).lower()
    assert [each for each in place.iterdir() if each.is_dir()] == []


def test_plain_text_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_files, "PIECE", 1000)
    monkeypatch.setattr(corpus_files, "_BLOCK", 700)
    paragraphs = [f"Paragraph {number}: {'言葉 and words. ' * 8}" for number in range(40)]
    paragraphs[20] = "x" * 2500
    text = "\n\n".join(paragraphs)
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    told: list[tuple[int, int]] = []
    found = list(corpus_files.read_texts(path, lambda *each: told.append(each)))
    assert "".join(found) == text
    assert max(map(len, found)) <= 1000
    assert sum(each.endswith("\n\n") for each in found) > 5
    assert told[-1] == (path.stat().st_size, path.stat().st_size)


def test_plain_text_takes_the_memory_of_a_piece(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    line = "A line of a long text that is read again and again.\n"
    path.write_text(line * 400_000)  # 21 MB
    tracemalloc.start()
    size = sum(map(len, corpus_files.read_texts(path)))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == len(line) * 400_000
    assert most < 8 << 20


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("zst", zstandard.compress)])
def test_packed_lines_are_read_to_their_end(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes], frames: int
) -> None:
    path = tmp_path / f"a.jsonl.{ending}"
    path.write_bytes(pack(b'{"text": "one"}\n{"text": "two"}\n') * frames)
    assert list(corpus_files.read_texts(path)) == ["one", "two"] * frames
    assert CorpusFiles.find(path).splits == {"train": path}
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"damaged" + whole[11:])
    with pytest.raises(FormatError, match=r"no whole (gzip|Zstandard) file"):
        list(corpus_files.read_texts(path))


def test_a_full_disk_leaves_nothing_behind(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    place = tmp_path / "datasets"
    with monkeypatch.context() as patch:
        patch.setattr(token_writer._Summed, "write", full)
        with pytest.raises(StorageError, match="Free some space"):
            make_token_data(corpus, trained.tokenizer("bpe"), place)
    assert [each for each in place.iterdir() if each.is_dir()] == []
    make_token_data(corpus, trained.tokenizer("bpe"), place)


def test_two_that_want_the_same_make_it_once(corpus: Path, tmp_path: Path) -> None:
    found: list[TokenData] = []

    def make() -> None:
        found.append(make_token_data(corpus, trained.tokenizer("bpe"), tmp_path / "datasets"))

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({data.path for data in found}) == 1
    assert len(found) == 3


def test_damage_is_told(corpus: Path, tmp_path: Path) -> None:
    data = make_token_data(corpus, trained.tokenizer("bpe"), tmp_path / "datasets")
    path = data.path
    whole = (path / "train.bin").read_bytes()
    (path / "train.bin").write_bytes(whole[:-2])
    with pytest.raises(FormatError, match=f"has {len(whole) - 2:,} bytes, but meta.json says"):
        TokenData.open(path)
    (path / "train.bin").write_bytes(whole[:-2] + b"\x05\x00")
    with pytest.raises(ChecksumError):
        TokenData.open(path)
    (path / "train.bin").unlink()
    with pytest.raises(FormatError, match=r"train\.bin is missing"):
        TokenData.open(path)
    (path / "train.bin").write_bytes(whole)
    starts = np.frombuffer((path / "train.idx").read_bytes(), "<i8")
    (path / "train.idx").write_bytes(starts[::-1].tobytes())
    with pytest.raises(FormatError, match="does not divide"):
        TokenData.open(path, verify=False)


def test_other_versions_and_broken_descriptions_are_refused(tmp_path: Path) -> None:
    data = token_folders.write(tmp_path / "data", [[5, 6], [7]])
    meta = data.path / "meta.json"
    known = json.loads(meta.read_text("utf-8"))
    for changed, words in (
        ({**known, "format": 0}, "format 0, written by an older version"),
        ({**known, "format": 9}, "format 9, written by another version"),
        ({**known, "vocab_size": "many"}, "lacks or garbles"),
        ({k: v for k, v in known.items() if k != "splits"}, "lacks or garbles"),
        ({**known, "marks": {"begin": 5000, "end": 1}}, "marked by 5000 and 1, but the vocabulary"),
        ([], "no JSON object"),
    ):
        meta.write_text(json.dumps(changed), "utf-8")
        with pytest.raises(FormatError, match=words):
            TokenData.open(data.path)
    meta.write_text("{", "utf-8")
    with pytest.raises(FormatError, match="no JSON object"):
        TokenData.open(data.path)
    meta.unlink()
    with pytest.raises(NotFoundError, match=r"meta\.json is missing, which is written last"):
        TokenData.open(data.path)


def test_a_tokenizer_that_does_not_fit_is_refused(corpus: Path, tmp_path: Path) -> None:
    data = make_token_data(corpus, trained.tokenizer("bpe"), tmp_path / "datasets")
    other = token_folders.write(tmp_path / "data", [[5, 6]], vocab_size=50)
    size = trained.tokenizer("bpe").vocab_size
    with pytest.raises(InputError, match=f"tokenizer of 50 tokens, but this one has {size}"):
        other.check_tokenizer(trained.tokenizer("bpe"))
    assert trained.tokenizer("unigram").vocab_size == size
    with pytest.raises(InputError, match=f"another tokenizer of {size} tokens"):
        TokenData.open(data.path, tokenizer=trained.tokenizer("unigram"))


def test_big_vocabularies_take_four_bytes(tmp_path: Path) -> None:
    data = token_folders.write(tmp_path / "data", [[70_000, 3]], vocab_size=100_000)
    assert data.tokens("train").dtype == np.uint32
    assert data.tokens("train").tolist() == [1, 70_000, 3]


# Not `ru_maxrss`: a child begins with the peak of the process that started it.
MEMORY = """
import re, sys
from pathlib import Path
from kataribe.make.tokens import load_tokenizer
from kataribe.make.tokens.token_writer import make_token_data
tokenizer = load_tokenizer(Path(sys.argv[1]))
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
make_token_data(Path(sys.argv[2]), tokenizer, Path(sys.argv[4]))
before = peak()
data = make_token_data(Path(sys.argv[3]), tokenizer, Path(sys.argv[4]))
after = peak()
print(data.text_bytes("train"), (after - before) * 1024)
"""


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    def lines(limit: int) -> Iterator[str]:
        size = 0
        for text in itertools.cycle(small_corpus.texts()):
            if size > limit:
                return
            size += len(text.encode())
            yield json.dumps({"text": text}) + "\n"

    small, big = tmp_path / "small.jsonl", tmp_path / "big.jsonl"
    for path, size in ((small, 5_000_000), (big, 20_000_000)):
        with path.open("w", encoding="utf-8") as file:
            file.writelines(lines(size))
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(
        [*command, *map(str, (trained.folder("wordpiece"), small, big, tmp_path / "datasets"))],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "RAYON_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
        },
    )
    size, grown = map(int, done.stdout.split())
    assert size > 19_800_000
    # Usually 1 to 2 MB, 8.5 once beside other programs; 15 MB of text more must not be held.
    assert grown < 12_000_000, f"{grown:,} bytes more for a corpus of {size:,}"
