"""Writes that happen wholly or not at all, and checksums."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kataribe
from kataribe.base.errors import ChecksumError, InputError, NotFoundError, StorageError
from kataribe.files.atomic import atomic_file, write_atomic
from kataribe.files.checksum import sha256_file, verify_sha256
from kataribe.files.gguf_writer import write_gguf
from kataribe.files.safetensors import save_safetensors

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(kataribe.__file__).parents[1])}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def file_limit():
    """Files of at most 64 KiB in this process, as a full disk would have it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def tiny_disk(tmp_path: Path):
    """A file system of 256 KiB, where this user may mount one."""
    mount = shutil.which("mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs rights that this user lacks")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    for name in ("語" * 85, "x" * 255):
        write_atomic(tmp_path / name, name)
        assert (tmp_path / name).read_text(encoding="utf-8") == name
    assert len(list(tmp_path.iterdir())) == 2


def test_a_write_replaces_wholly_and_keeps_permissions(tmp_path: Path) -> None:
    path = tmp_path / "語り.txt"
    write_atomic(path, "一")
    assert path.read_text() == "一"
    path.chmod(0o640)
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def broken() -> None:
        with atomic_file(path) as file:
            file.write(b"new")
            raise failure

    with pytest.raises(failure):
        broken()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_limit_of_the_file_size(tmp_path: Path, file_limit: None) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(StorageError, match="ulimit"):
        write_atomic(path, b"x" * 200_000)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_full_disk(tiny_disk: Path) -> None:
    path = tiny_disk / "a"
    path.write_text("old")
    big = np.zeros((512, 512), np.float32)
    with pytest.raises(StorageError, match="Free some space"):
        write_atomic(path, b"x" * 600_000)
    with pytest.raises(StorageError, match="Free some space"):
        write_gguf(path, {}, {"w": big})
    with pytest.raises(StorageError, match="Free some space"):
        save_safetensors(path, {"w": big})
    assert path.read_text() == "old"
    assert names(tiny_disk) == ["a"]


def test_no_folder_and_no_rights(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="folder"):
        write_atomic(tmp_path / "no" / "a", b"")
    with pytest.raises(StorageError, match="cannot be written"):
        write_atomic(Path("/proc/nothing"), b"")


def test_a_killed_writer_leaves_the_target(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    code = (
        "import os, pathlib, sys\n"
        "from kataribe.files.atomic import atomic_file\n"
        "with atomic_file(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'new'); file.flush(); os._exit(9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], env=ENVIRONMENT, check=False)
    assert ended.returncode == 9
    assert path.read_text() == "old"


def test_checksums(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    seen: list[tuple[int, int]] = []
    assert sha256_file(path, lambda done, total: seen.append((done, total))) == expected
    assert seen[-1] == (3_000_000, 3_000_000)
    assert len(seen) == 3
    verify_sha256(path, expected.upper())
    with pytest.raises(ChecksumError, match=expected) as caught:
        verify_sha256(path, "0" * 64)
    assert caught.value.actual == expected
    with pytest.raises(InputError, match="64 hexadecimal"):
        verify_sha256(path, "abc")
    with pytest.raises(NotFoundError):
        sha256_file(tmp_path / "no")
    with pytest.raises(StorageError):
        sha256_file(tmp_path)


def test_the_room_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from kataribe.files import atomic, checksum, ggml_blocks, gguf, gguf_writer, safetensors\n"
        "assert 'torch' not in sys.modules and 'gguf' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True)
