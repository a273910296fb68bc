"""A target is whole or as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kataribe.base.errors import FormatError, InputError, StorageError
from kataribe.files import staging
from kataribe.files.gguf import open_gguf
from kataribe.files.gguf_writer import write_gguf
from kataribe.files.replacing import (
    KEY,
    MARK,
    UNMARKED,
    check_replaceable,
    mark_folder,
    mark_gguf,
)
from kataribe.files.staging import staged


def anything(_: Path) -> None:
    """All may be replaced."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with staged(tmp_path / "deep" / "x") as path:
        path.write_text("new")
        assert not (tmp_path / "deep" / "x").exists()
    assert (tmp_path / "deep" / "x").read_text() == "new"
    assert names(tmp_path / "deep") == ["x"]


@pytest.mark.parametrize("old", ["file", "folder"])
@pytest.mark.parametrize("new", ["file", "folder"])
@pytest.mark.parametrize("one_step", [True, False])
def test_what_is_there_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, one_step: bool
) -> None:
    if not one_step:  # as on systems that cannot exchange two names
        monkeypatch.setattr(staging, "_exchange", lambda *_: False)
    target = tmp_path / "x"
    make(target, old, "old")
    with staged(target, may_replace=anything) as path:
        make(path, new, "new")
        assert holds(target, old, "old")
    assert holds(target, new, "new")
    assert names(tmp_path) == ["x"]


def make(path: Path, kind: str, word: str) -> None:
    if kind == "folder":
        path.mkdir()
        path = path / word
    path.write_text(word)


def holds(path: Path, kind: str, word: str) -> bool:
    return names(path) == [word] if kind == "folder" else path.read_text() == word


def break_off(target: Path) -> None:
    with staged(target, may_replace=anything) as path:
        path.write_text("half")
        raise ZeroDivisionError


def be_late(target: Path) -> None:
    with staged(target) as path:
        path.write_text("new")
        make(target, "file", "old")  # somebody was faster


@pytest.mark.parametrize("old", ["file", "folder"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, old: str) -> None:
    target = tmp_path / "x"
    make(target, old, "old")
    with pytest.raises(ZeroDivisionError):
        break_off(target)
    with (
        pytest.raises(StorageError, match="x cannot be written"),
        staged(target, may_replace=anything),
    ):
        pass  # nothing was made that could take the name
    assert holds(target, old, "old")
    assert names(tmp_path) == ["x"]


def test_nothing_is_replaced_untold(tmp_path: Path) -> None:
    make(tmp_path / "x", "file", "old")
    with pytest.raises(InputError, match="--replace"), staged(tmp_path / "x"):
        pass
    with pytest.raises(InputError, match="exists already"):
        be_late(tmp_path / "y")
    assert (tmp_path / "y").read_text() == "old"
    with pytest.raises(StorageError, match="cannot be written"), staged(tmp_path / "x" / "z"):
        pass


KILLED = """
import os, sys
from pathlib import Path
from kataribe.files import staging
target, place = Path(sys.argv[1]), sys.argv[2]
end = lambda *_: os._exit(9)
if place == "exchanged":
    before = staging._exchange
    staging._exchange = lambda *paths: before(*paths) and end()
elif place == "before":
    staging._exchange = end
elif place == "aside":  # between the two steps of a system without that one
    staging._exchange = lambda *_: False
    Path.rename = lambda self, to, step=Path.rename: step(self, to) if to.name == "old" else end()
with staging.staged(target, may_replace=lambda _: None) as path:
    path.mkdir()
    (path / "new").write_text("new")
    if place == "writing":
        end()
"""


@pytest.mark.parametrize(
    ("place", "left", "then"),
    [
        ("writing", "old", "old"),
        ("before", "old", "old"),
        ("exchanged", "new", "new"),
        ("aside", "", "old"),
    ],
)
def test_a_crash_leaves_the_old_or_the_new(
    tmp_path: Path, place: str, left: str, then: str
) -> None:
    target = tmp_path / "x"
    make(target, "folder", "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), place], check=False)
    assert done.returncode == 9
    assert (names(target) if target.exists() else []) == ([left] if left else [])
    found: list[str] = []
    with staged(target, may_replace=lambda old: found.extend(names(old))) as path:
        assert found == [then]  # back where it was, before anything is written
        make(path, "folder", "third")
    assert holds(target, "folder", "third")
    assert names(tmp_path) == ["x"]  # and what the crash left is gone


@pytest.mark.parametrize(
    ("crashed", "other"),
    [("m.v2", "m"), ("名" * 80 + "一", "名" * 80 + "二"), ("x" * 120 + "1", "x" * 120 + "2")],
    ids=["beginning", "wide", "long"],
)
def test_what_another_target_left_is_not_touched(tmp_path: Path, crashed: str, other: str) -> None:
    make(tmp_path / crashed, "folder", "old")
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / crashed), "aside"]
    assert subprocess.run(arguments, check=False).returncode == 9
    (left,) = names(tmp_path)
    with staged(tmp_path / other) as path:
        make(path, "folder", "new")
    assert names(tmp_path) == sorted([left, other])
    assert holds(tmp_path / other, "folder", "new")
    found: list[str] = []
    with staged(tmp_path / crashed, may_replace=lambda old: found.extend(names(old))) as path:
        make(path, "folder", "new")
    assert found == ["old"] * 2
    assert names(tmp_path) == sorted([crashed, other])


def test_what_others_are_writing_is_left_alone(tmp_path: Path) -> None:
    with staged(tmp_path / "x") as one:
        one.write_text("one")
        with staged(tmp_path / "x") as two:
            two.write_text("two")
        (tmp_path / "x").unlink()
    assert (tmp_path / "x").read_text() == "one"
    assert names(tmp_path) == ["x"]


def test_only_what_an_export_wrote_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    check_replaceable(folder)  # empty
    (folder / "deep").mkdir()
    (folder / "deep" / "a").write_text("a")
    with pytest.raises(InputError, match=f"no export of Kataribe .*{MARK}.*another name"):
        check_replaceable(folder)
    mark_folder(folder)
    check_replaceable(folder)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt, which the export did not write"):
        check_replaceable(folder)
    (folder / "notes.txt").unlink()
    (folder / "deep" / "a").write_text("b")
    with pytest.raises(InputError, match="holds deep/a, which was changed"):
        check_replaceable(folder)
    (folder / "deep" / "a").unlink()
    (folder / "deep" / "a").symlink_to(tmp_path)
    with pytest.raises(InputError, match="changed"):
        check_replaceable(folder)
    mark = (folder / MARK).read_text()
    (folder / MARK).write_text(mark.replace('"format": 2', '"format": 1'))
    with pytest.raises(InputError, match="format 1, and only 2 is known"):
        check_replaceable(folder)
    (folder / MARK).write_text("{")
    with pytest.raises(InputError, match="damaged"):
        check_replaceable(folder)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(InputError, match="is a link"):
        check_replaceable(tmp_path / "link")
    for content in ("mine", "GGUF"):
        (tmp_path / "y.gguf").write_text(content)
        with pytest.raises(InputError, match="no export of Kataribe"):
            check_replaceable(tmp_path / "y.gguf")


def change(path: Path, place: int) -> None:
    """One bit of a file, which keeps its size."""
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def test_weights_that_were_changed_are_never_replaced(tmp_path: Path) -> None:
    folder, size = tmp_path / "x", 3 << 20
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(size))
    mark_folder(folder)
    check_replaceable(folder)
    for place in (0, size // 2, size - 1):
        change(folder / "model.safetensors", place)
        with pytest.raises(InputError, match=r"holds model\.safetensors, which was changed"):
            check_replaceable(folder)
        change(folder / "model.safetensors", place)
    check_replaceable(folder)  # as it was

    file = tmp_path / "x.gguf"
    keys = {"general.name": "x", KEY: UNMARKED, "last": "y"}
    write_gguf(file, keys, {"x": np.zeros(1 << 19, np.float32)})
    with pytest.raises(InputError, match=r"x\.gguf is not replaced, because it was changed"):
        check_replaceable(file)  # nobody has marked it
    mark_gguf(file)
    check_replaceable(file)
    check_replaceable(file.rename(tmp_path / "y.gguf"))  # wherever it goes
    file = tmp_path / "y.gguf"
    assert open_gguf(file).metadata.keys() == keys.keys()
    name, size = file.read_bytes().index(b"x", 8), file.stat().st_size
    for place in (name, open_gguf(file).data_offset, size // 2, size - 1):
        change(file, place)
        with pytest.raises(InputError, match="changed since"):
            check_replaceable(file)
        change(file, place)
    check_replaceable(file)
    with file.open("ab") as longer:
        longer.write(b"\0")
    with pytest.raises(InputError, match="changed since"):
        check_replaceable(file)


def test_a_gguf_file_is_known_by_its_hash_or_not_at_all(tmp_path: Path) -> None:
    tensors = {"x": np.zeros(3, np.float32)}
    for keys in ({}, {KEY: 1}, {KEY: "0" * 63}):
        write_gguf(tmp_path / "x.gguf", {"a": "b", **keys}, tensors)
        why = "another format" if keys else "no export of Kataribe"
        with pytest.raises(InputError, match=why):
            check_replaceable(tmp_path / "x.gguf")
        with pytest.raises(FormatError, match=KEY):
            mark_gguf(tmp_path / "x.gguf")
    write_gguf(tmp_path / "x.gguf", {KEY: UNMARKED}, tensors)
    mark_gguf(tmp_path / "x.gguf")
    with pytest.raises(FormatError, match="no empty"):
        mark_gguf(tmp_path / "x.gguf")
