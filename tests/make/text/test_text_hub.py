"""Data sets of the hub, from a stand-in server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import random
import re
import shutil
import threading

import pytest
from prose import english, japanese

from kataribe.base.errors import (
    AccessError,
    ChecksumError,
    DownloadError,
    FormatError,
    InputError,
    NotFoundError,
)
from kataribe.make.text import CorpusChoices, hub_data, make_corpus, read_documents
from kataribe.make.text.hub_patterns import _PARTS, Pattern
from kataribe.make.text.hub_subsets import DataSetName, chosen_files
from kataribe.make.text.sources import open_source

COMMIT = "c0ffee"


def jsonl(*texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


class Hub:
    """What the stand-in serves, and what it was asked."""

    def __init__(self):
        self.files = {
            "README.md": b"# about",
            "data/train-00000-of-00002.jsonl": jsonl(*(english(i) for i in range(20))),
            "data/train-00001-of-00002.jsonl": jsonl(*(japanese(i) for i in range(20))),
            "data/test-00000-of-00001.jsonl": jsonl(english(99)),
        }
        self.asked = []
        self.break_after = None
        self.wrong_sum = False
        self.status = 200
        self.token = None

    def listing(self):
        siblings = []
        for name, data in self.files.items():
            digest = "0" * 64 if self.wrong_sum else hashlib.sha256(data).hexdigest()
            siblings.append(
                {"rfilename": name, "size": len(data), "lfs": {"size": len(data), "sha256": digest}}
            )
        return json.dumps({"sha": COMMIT, "siblings": siblings}).encode()


@pytest.fixture
def hub(monkeypatch):
    served = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            served.asked.append((path, self.headers.get("Range")))
            if served.status != 200 or (
                served.token and self.headers.get("Authorization") != f"Bearer {served.token}"
            ):
                return self.answer(served.status if served.status != 200 else 401, b"no")
            if path == "/api/datasets/own/set/revision/main":
                return self.answer(200, served.listing())
            data = served.files.get(path.removeprefix(f"/datasets/own/set/resolve/{COMMIT}/"))
            if data is None:
                return self.answer(404, b"not here")
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            if served.break_after is not None:
                cut, served.break_after = served.break_after, None
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[:cut])
                self.close_connection = True
                return None
            return self.answer(206 if start else 200, data[start:])

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub_data, "_PAUSE_SECONDS", 0.001)
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def labels(source):
    return [file.label for file in source.files]


def test_a_data_set_becomes_a_corpus(hub, tmp_path):
    choices = CorpusChoices(sources=("hf:own/set",), cache=tmp_path / "cache")
    corpus = make_corpus(choices, tmp_path / "corpora" / "a")
    assert corpus.card["read"]["documents"] == 40
    assert {d.source for d in read_documents(corpus.train)} == {"hf:own/set"}
    asked = len(hub.asked)
    open_source("hf:own/set", tmp_path / "cache", lambda _: None)
    assert len(hub.asked) == asked + 1  # the list alone: the files are kept


def test_splits_are_told_by_the_names_of_files(hub, tmp_path):
    assert labels(open_source("hf:own/set:test", tmp_path, lambda _: None)) == [
        "data/test-00000-of-00001.jsonl"
    ]
    assert len(labels(open_source("hf:own/set:train", tmp_path, lambda _: None))) == 2
    with pytest.raises(InputError, match=r"no split 'dev'; .* splits: test, train"):
        open_source("hf:own/set:dev", tmp_path, lambda _: None)
    hub.files = {"all.jsonl": jsonl("a"), "more.txt": b"b"}
    assert labels(open_source("hf:own/set", tmp_path, lambda _: None)) == ["all.jsonl", "more.txt"]
    hub.files = {"picture.png": b""}
    with pytest.raises(NotFoundError, match=r"holds no \.parquet"):
        open_source("hf:own/set", tmp_path, lambda _: None)


def test_a_download_that_breaks_off_goes_on(hub, tmp_path):
    del hub.files["README.md"]  # which would be fetched first
    hub.break_after = 1000
    source = open_source("hf:own/set", tmp_path, lambda _: None)
    assert source.files[0].path.read_bytes() == hub.files["data/train-00000-of-00002.jsonl"]
    assert "bytes=1000-" in [given for _, given in hub.asked]


def test_a_file_with_a_wrong_checksum_is_refused(hub, tmp_path):
    hub.wrong_sum = True
    with pytest.raises(ChecksumError):
        open_source("hf:own/set", tmp_path, lambda _: None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_the_hub_refuses_is_said(hub, tmp_path, monkeypatch):
    with pytest.raises(NotFoundError, match="no data set own/other"):
        open_source("hf:own/other", tmp_path, lambda _: None)
    hub.token = "secret"
    with pytest.raises(AccessError, match="HF_TOKEN"):
        open_source("hf:own/set", tmp_path, lambda _: None)
    monkeypatch.setenv("HF_TOKEN", "secret")
    open_source("hf:own/set", tmp_path, lambda _: None)
    hub.status = 503
    with pytest.raises(DownloadError, match="the server answered 503"):
        open_source("hf:own/set", tmp_path, lambda _: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        open_source("hf:own/set", tmp_path, lambda _: None)


PAGE = b"""---
license: mit
configs:
- config_name: english
  default: true
  data_files:
  - split: train
    path: "data/train-*-of-*.jsonl"
  - split: test
    path: [data/test-00000-of-00001.jsonl]
- config_name: ja-JP
  data_files: "ja/**/*.jsonl"
- config_name: more
  data_dir: extra
---
# about
"""


def test_configurations_are_those_of_the_page(hub, tmp_path):
    def files(part):
        return labels(open_source(f"hf:own/set{part}", tmp_path, lambda _: None))

    both = ["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"]
    hub.files |= {
        "README.md": PAGE,
        "ja/2020/a.jsonl": jsonl("a"), "ja/b.jsonl": jsonl("b"), "ja/c.txt": b"c",
        "extra/train.jsonl": jsonl("d"), "extra/valid.jsonl": jsonl("e"),
    }  # fmt: skip
    assert files("") == files(":english") == files(":english@train") == files("@train") == both
    assert files("@test") == files(":test") == ["data/test-00000-of-00001.jsonl"]
    assert files(":ja-JP") == ["ja/2020/a.jsonl", "ja/b.jsonl"]
    assert files(":more@valid") == ["extra/valid.jsonl"]
    with pytest.raises(InputError, match=r"'fr'; .*configurations: english, ja-JP, more"):
        files(":fr")
    with pytest.raises(InputError, match=r"own/set:ja-JP has no split 'dev'; it has: train"):
        files(":ja-JP@dev")
    hub.files["README.md"] = PAGE.replace(b"default: true", b"x: 1")
    shutil.rmtree(tmp_path / "hf")
    with pytest.raises(InputError, match=r"several configurations: english, .* Name one"):
        files("")


def chosen(front, files, part=""):
    """What a README with this front matter means by a data set of these files."""
    return chosen_files(DataSetName.parse(f"own/set{part}"), files, f"---\n{front}\n---\n")


def test_patterns_are_those_of_the_hub():
    def meant(pattern, *names):
        found = Pattern(pattern)
        return [name for name in names if found.matches(name)]

    names = ("a.txt", "ja/a.txt", "ja/b/a.txt", "ja/b1.txt", "ja/b22.txt", "ja/[x].txt")
    assert meant("*.txt", *names) == ["a.txt"]
    assert meant("**/a.txt", *names) == ["a.txt", "ja/a.txt", "ja/b/a.txt"]
    assert meant("**/**/a.txt", *names) == ["a.txt", "ja/a.txt", "ja/b/a.txt"]
    assert meant("ja/**/*.txt", *names) == list(names[1:])
    assert meant("ja/**", *names) == list(names[1:])
    assert meant("***t", *names) == list(names)
    assert meant("ja/b?.txt", *names) == meant("ja/b[0-9].txt", *names) == ["ja/b1.txt"]
    assert meant("ja/[!a]*.txt", *names) == ["ja/b1.txt", "ja/b22.txt", "ja/[x].txt"]
    assert meant("ja/b[13-9]*", *names) == meant("ja/b[^2]*", *names) == ["ja/b1.txt"]
    assert meant("ja/[[]x].txt", *names) == meant("ja/[[]x[]].txt", *names) == ["ja/[x].txt"]
    assert meant("ja/[ab.txt", "ja/[ab.txt", "ja/a.txt") == ["ja/[ab.txt"]
    assert meant("ja[/]a.txt", *names) == meant("ja?a.txt", *names) == []
    assert meant("a.txt", "a.txt", "a-txt", "aa.txt", "a.txtx") == ["a.txt"]
    assert meant("**a*b", "a/ab", "a/a/b", "xab") == ["a/ab", "xab"]
    with pytest.raises(FormatError, match=r"braces \('\{a,b\}'\)"):
        Pattern("ja/{a,b}.txt")
    with pytest.raises(FormatError, match="5,000 characters"):
        Pattern("*" * 5000)


def test_patterns_match_what_a_regular_expression_matches():
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "[a-b]": "[ab]"}
    parts, draw = [*meaning, "a", "b", "/"], random.Random(5)
    for _ in range(1500):
        pattern = "".join(draw.choices(parts, k=draw.randint(1, 6)))
        if "***" in pattern:  # split otherwise
            continue
        told = re.compile("".join(meaning.get(part, part) for part in _PARTS.findall(pattern)))
        found = Pattern(pattern)
        for _ in range(8):
            name = "".join(draw.choices("ab/", k=draw.randint(0, 7)))
            assert found.matches(name) == bool(told.fullmatch(name)), (pattern, name)


def test_a_page_that_was_written_to_hang_its_reader_does_not():
    name = "a" * 200 + ".txt"
    assert not Pattern("**a" * 60 + "**b").matches(name)
    assert not Pattern("*a" * 60 + "*b").matches(name)
    nested = "\n".join(
        ["x: &l0 [a, a, a, a, a, a, a, a]"]
        + [f"y{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 8)}]" for i in range(1, 12)]
    )
    page = f"{nested}\nconfigs:\n- config_name: *l11\n  data_files: a.txt\n- data_files: b.txt"
    assert chosen(page, ["a.txt", "b.txt"]) == ["b.txt"]  # 8 ** 12 names are no name
    merged = "\n".join(
        ["m0: &m0 {a: b}", *(f"m{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}" for i in range(1, 40))]
    )
    assert chosen(f"{merged}\nconfigs:\n- data_files: b.txt", ["a.txt", "b.txt"]) == ["b.txt"]
    many = f"p: &p [{', '.join(['1'] * 2000)}]\nconfigs:\n- data_files: "
    with pytest.raises(FormatError, match="more than 100,000 files"):
        chosen(f"{many}[{', '.join(['{path: *p}'] * 60)}]", ["b.txt"])
    globs = ", ".join(f"'{i}*'" for i in range(1001))
    with pytest.raises(FormatError, match="more than 1,000 patterns"):
        chosen(f"configs:\n- data_files: [{globs}]", ["b.txt"])
    with pytest.raises(FormatError, match=r"2,097,153 characters of settings; at most 2,097,152"):
        chosen("#" * ((2 << 20) + 1), ["b.txt"])


def test_what_a_page_says_is_read_as_it_is_written():
    files = ["001.txt", "2024.txt", "a.txt"]
    page = """day: 2024-13-45
configs:
- {config_name: 001, data_files: 001.txt, data_dir: null}
- {config_name: 2024-13-45, data_files: 2024.txt}
- {config_name: [a, b], data_files: a.txt}
- {config_name: none, data_files: ~}"""
    assert chosen(page, files, ":001") == ["001.txt"]
    assert chosen(page, files, ":2024-13-45") == ["2024.txt"]
    with pytest.raises(InputError, match=r"several configurations: 001, 2024-13-45\. Name"):
        chosen(page, files)
    with pytest.raises(FormatError, match="with braces"):
        chosen("configs:\n- data_files: '{001,a}.txt'", files)


def test_configurations_are_folders_where_the_page_tells_none(hub, tmp_path):
    hub.files = {
        "README.md": b"---\nconfigs: [\n---\n",  # no YAML
        "ja/train-00000-of-00001.jsonl": jsonl("a"), "ja/test-00000-of-00001.jsonl": jsonl("b"),
        "en/train-00000-of-00001.jsonl": jsonl("c"),
    }  # fmt: skip

    def files(part):
        return labels(open_source(f"hf:own/set{part}", tmp_path, lambda _: None))

    assert files(":ja") == ["ja/train-00000-of-00001.jsonl"]
    assert files(":ja@test") == files(":test") == ["ja/test-00000-of-00001.jsonl"]
    assert len(files("")) == 2
    with pytest.raises(InputError, match="own/set:en has no split 'test'; it has: train"):
        files(":en@test")
    with pytest.raises(InputError, match=r"'fr'; .*configurations: en, ja"):
        files(":fr")


def test_a_column_is_named_with_the_data_set(hub, tmp_path):
    pairs = [{"src": english(i), "the answer": japanese(i)} for i in range(20)]
    hub.files = {"train.jsonl": "".join(json.dumps(each) + "\n" for each in pairs).encode()}
    own = tmp_path / "own.jsonl"
    own.write_bytes(jsonl(english(50), english(51)))  # its texts lie in `text`
    sources = ("hf:own/set@train#the answer", str(own))
    choices = CorpusChoices(sources=sources, cache=tmp_path / "cache")
    corpus = make_corpus(choices, tmp_path / "corpora" / "a")
    texts = {d.text for split in ("train", "valid") for d in read_documents(corpus.path, split)}
    assert texts == {japanese(i).strip() for i in range(20)} | {
        english(50).strip(),
        english(51).strip(),
    }
    with pytest.raises(InputError, match=r"no field 'tgt'; it has: src, the answer.*#COLUMN"):
        make_corpus(
            CorpusChoices(sources=("hf:own/set#tgt",), cache=tmp_path / "cache"),
            tmp_path / "corpora" / "b",
        )


@pytest.mark.parametrize(
    "name",
    ["set", "own/set/more", "../up", "own/", "https://x/y", "own/set:", "own/set@", "own/set#",
     "own/set@a:b", "own/set:a/b"],
)  # fmt: skip
def test_names_that_no_data_set_has(tmp_path, name):
    with pytest.raises(InputError, match="names no data set"):
        open_source(f"hf:{name}", tmp_path, lambda _: None)


def test_a_hostile_list_of_files_is_refused(hub, tmp_path):
    hub.files = {"../../up.jsonl": b""}
    with pytest.raises(FormatError, match="nonsense"):
        open_source("hf:own/set", tmp_path, lambda _: None)


def test_a_folder_stands_in_for_the_hub(tmp_path, monkeypatch):
    folder = tmp_path / "datasets" / "own" / "set"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_bytes(jsonl(english(1)))
    monkeypatch.setenv("HF_ENDPOINT", str(tmp_path))
    source = open_source("hf:own/set", tmp_path, lambda _: None)
    assert source.files[0].path == folder / "train.jsonl"
    with pytest.raises(NotFoundError, match="has no folder"):
        open_source("hf:own/other", tmp_path, lambda _: None)
