"""A target is whole or as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from kataribe.base.errors import InputError, StorageError
from kataribe.files.staging import staged


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
def test_what_is_there_is_replaced_whole(tmp_path: Path, old: str, new: str) -> None:
    target = tmp_path / "x"
    make(target, old, "old")
    with staged(target, replace=True) as path:
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
    with staged(target, replace=True) as path:
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
    with pytest.raises(StorageError, match="x cannot be written"), staged(target, replace=True):
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
