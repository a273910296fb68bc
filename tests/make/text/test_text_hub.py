"""Data sets of the hub, from a stand-in server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

import pytest
from prose import english, japanese

from kataribe.base.errors import (
    AccessError,
    ChecksumError,
    DownloadError,
    InputError,
    NotFoundError,
)
from kataribe.make.text import CorpusChoices, hub_data, make_corpus, read_documents
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
    with pytest.raises(InputError, match="no split 'dev'; it has: test, train"):
        open_source("hf:own/set:dev", tmp_path, lambda _: None)
    hub.files = {"all.jsonl": jsonl("a"), "more.txt": b"b"}
    assert labels(open_source("hf:own/set", tmp_path, lambda _: None)) == ["all.jsonl", "more.txt"]
    hub.files = {"picture.png": b""}
    with pytest.raises(NotFoundError, match=r"holds no \.parquet"):
        open_source("hf:own/set", tmp_path, lambda _: None)


def test_a_download_that_breaks_off_goes_on(hub, tmp_path):
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


@pytest.mark.parametrize("name", ["set", "own/set/more", "../up", "own/", "https://x/y"])
def test_names_that_no_data_set_has(tmp_path, name):
    with pytest.raises(InputError, match="names no data set"):
        open_source(f"hf:{name}", tmp_path, lambda _: None)


def test_a_hostile_list_of_files_is_refused(hub, tmp_path):
    from kataribe.base.errors import FormatError

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
