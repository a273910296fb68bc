"""Files in a chosen folder: listed, read, searched, written, and no way out."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.use.agents.tools.files import FileRules, file_tools


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    (folder / "notes").mkdir(parents=True)
    (folder / "a.txt").write_text("one\ntwo\nthree\n")
    (folder / "notes" / "日記.md").write_text("# 日記\nGreat Wave\n")
    (folder / "sjis.txt").write_bytes("日本語の文".encode("cp932"))
    (folder / "picture.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "secret.txt").write_text("SECRET great")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "out").symlink_to(tmp_path)
    return folder


def tools(folder, **rules):
    return {tool.spec.name: tool for tool in file_tools(folder, FileRules(**rules))}


async def test_list(folder):
    listed = (await tools(folder)["list_files"].call({})).splitlines()
    assert [line.split(" (")[0] for line in listed] == [
        "a.txt",
        "notes/日記.md",
        "picture.png",
        "sjis.txt",
    ]
    assert await tools(folder)["list_files"].call({"pattern": "*.md"}) == "notes/日記.md (20 bytes)"
    assert "No file matches" in await tools(folder)["list_files"].call({"pattern": "*.csv"})


async def test_long_lists_say_so(tmp_path):
    for number in range(510):
        (tmp_path / f"{number:03}.txt").write_text("")
    told = await tools(tmp_path)["list_files"].call({})
    assert told.endswith("[10 more; ask with a narrower pattern.]")


async def test_read(folder):
    read = tools(folder)["read_file"]
    assert await read.call({"path": "a.txt"}) == "one\ntwo\nthree"
    part = await read.call({"path": "a.txt", "first_line": 2, "lines": 1})
    assert part == "two\n[1 more lines; read on from line 3.]"
    assert await read.call({"path": "sjis.txt"}) == "日本語の文"
    assert (await read.call({"path": "notes/日記.md"})).startswith("# 日記")
    with pytest.raises(InputError, match="3 lines; line 9"):
        await read.call({"path": "a.txt", "first_line": 9})
    with pytest.raises(InputError, match="no text file"):
        await read.call({"path": "picture.png"})
    with pytest.raises(NotFoundError, match=r"b\.txt"):
        await read.call({"path": "b.txt"})
    with pytest.raises(InputError, match="14 bytes; at most 5"):
        await tools(folder, bytes=5)["read_file"].call({"path": "a.txt"})


async def test_search(folder):
    search = tools(folder)["search_files"]
    assert await search.call({"text": "GREAT"}) == "notes/日記.md:2: Great Wave"
    assert await search.call({"text": "本語"}) == "sjis.txt:1: 日本語の文"
    assert "No file" in await search.call({"text": "SECRET"})
    assert "No file" in await search.call({"text": "great", "pattern": "*.txt"})
    with pytest.raises(InputError, match="empty"):
        await search.call({"text": " "})
    (folder / "many.txt").write_text("hit\n" * 200)
    assert (await search.call({"text": "hit"})).endswith(
        "[More than 100 lines; search for longer words.]"
    )


async def test_write(folder):
    assert "write_file" not in tools(folder)
    write = tools(folder, write=True, bytes=100)["write_file"]
    assert await write.call({"path": "new/deep/b.txt", "text": "語"}) == (
        "new/deep/b.txt was written: 3 bytes."
    )
    assert (folder / "new/deep/b.txt").read_text("utf-8") == "語"
    await write.call({"path": "a.txt", "text": ""})
    assert (folder / "a.txt").read_bytes() == b""
    with pytest.raises(InputError, match="101 bytes; at most 100"):
        await write.call({"path": "a.txt", "text": "x" * 101})


async def test_a_file_that_is_replaced_keeps_its_rights(folder):
    write = tools(folder, write=True)["write_file"]
    for mode in (0o755, 0o600, 0o664):
        (folder / "a.txt").chmod(mode)
        await write.call({"path": "a.txt", "text": f"{mode:o}"})
        assert (folder / "a.txt").read_text() == f"{mode:o}"
        assert (folder / "a.txt").stat().st_mode & 0o7777 == mode
    (folder / "a.txt").chmod(0o4755)
    await write.call({"path": "a.txt", "text": "x"})
    assert (folder / "a.txt").stat().st_mode & 0o7777 == 0o755  # never to run as somebody else
    await write.call({"path": "new.txt", "text": "x"})
    assert (folder / "new.txt").stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask():
    before = os.umask(0)
    os.umask(before)
    return before


async def test_what_is_written_is_on_the_disk_before_it_has_its_name(folder, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append((kind, os.fstat(descriptor).st_size if kind == "file" else 0))
        sync(descriptor)

    def replaced(*given, **more):
        done.append("named")
        replace(*given, **more)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    await tools(folder, write=True)["write_file"].call({"path": "a.txt", "text": "12345"})
    assert done == [("file", 5), "named", ("folder", 0)]


async def test_two_folders_have_tools_of_different_names(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.txt").write_text("other")
    found = {
        tool.spec.name: tool
        for tool in (*file_tools(folder), *file_tools(other, FileRules(write=True), "notes"))
    }
    assert set(found) == {
        "list_files", "read_file", "search_files",
        "notes_list_files", "notes_read_file", "notes_search_files", "notes_write_file",
    }  # fmt: skip
    assert await found["notes_read_file"].call({"path": "b.txt"}) == "other"
    assert found["notes_list_files"].spec.description.endswith("The folder is notes.")
    assert "The folder is" not in found["list_files"].spec.description
    assert found["notes_read_file"].spec.parameters == found["read_file"].spec.parameters
    with pytest.raises(InputError, match="my notes_list_files"):
        file_tools(folder, name="my notes")


WAYS_OUT = [
    "../secret.txt",
    "notes/../../secret.txt",
    "/etc/passwd",
    "link.txt",
    "out/secret.txt",
    "out",
    "out/new.txt",
    "notes/./x",
    "..",
    ".",
    "",
    "notes",
    "notes/",
    "a\0b",
    "~/x" + "/" * 2,
]


@pytest.mark.parametrize("path", WAYS_OUT)
async def test_no_way_out(folder, path):
    before = sorted(str(each) for each in folder.parent.rglob("*"))
    for name, more in (("read_file", {}), ("write_file", {"text": "planted"})):
        with pytest.raises((InputError, NotFoundError)):
            await tools(folder, write=True)[name].call({"path": path, **more})
    assert (folder.parent / "secret.txt").read_text() == "SECRET great"
    assert sorted(str(each) for each in folder.parent.rglob("*")) == before


def test_the_links_would_lead_out(folder):
    """The control: plain opening follows them."""
    assert (folder / "link.txt").read_text() == "SECRET great"
    assert (folder / "out/secret.txt").read_text() == "SECRET great"


async def test_a_folder_swapped_for_a_link_while_it_is_read(folder):
    """Somebody else swaps a folder and a link as fast as they can; the secret never comes out."""
    inner = folder / "inner"
    inner.mkdir()
    (inner / "secret.txt").write_text("plain")
    other = folder / "other"
    other.symlink_to(folder.parent)
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            inner.rename(folder / "aside")
            other.rename(inner)
            inner.rename(other)
            (folder / "aside").rename(inner)

    thread = threading.Thread(target=swap)
    thread.start()
    read = tools(folder)["read_file"]
    seen = set()
    try:
        for _ in range(300):
            try:
                seen.add(await read.call({"path": "inner/secret.txt"}))
            except (InputError, NotFoundError):
                seen.add("refused")
    finally:
        stop.set()
        thread.join()
    assert "plain" in seen
    assert seen <= {"plain", "refused"}


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(NotFoundError, match="none"):
        file_tools(tmp_path / "none")


async def test_a_disk_that_is_full_keeps_what_was_there(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        await tools(folder, write=True)["write_file"].call({"path": "a.txt", "text": "new"})
    assert (folder / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert not [each for each in folder.iterdir() if each.name.endswith(".new")]
