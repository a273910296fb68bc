"""Journals: what was appended is there, what was cut off is not, one process at a time."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
from pathlib import Path

import pytest

from kataribe.base.errors import FormatError, StorageError, UnavailableError
from kataribe.use.agents.journal import Journal, MemoryJournal, open_journal


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_records_come_back_in_order(kind, tmp_path: Path):
    with open_journal(tmp_path / "a" / "run.jsonl") as file:
        journal: Journal = MemoryJournal() if kind == "memory" else file
        for number in range(5):
            await journal.append({"kind": "n", "number": number, "words": "改行\n \ud800 \0"})
        assert [record["number"] for record in journal.records()] == list(range(5))
        before = journal.records()
    if kind == "file":
        with open_journal(tmp_path / "a" / "run.jsonl") as again:
            assert again.records() == before


async def test_what_a_crash_cut_off_is_taken_away(tmp_path: Path):
    path = tmp_path / "run.jsonl"
    whole = json.dumps({"kind": "a", "words": "x" * 50}).encode() + b"\n"
    for cut in range(len(whole)):
        path.write_bytes(whole + whole[:cut])
        with open_journal(path) as journal:
            assert len(journal.records()) == 1
            await journal.append({"kind": "b"})
        with open_journal(path) as journal:
            assert [record["kind"] for record in journal.records()] == ["a", "b"]


@pytest.mark.parametrize("line", [b"not json", b"[1]", b'{"no": "kind"}', b"\xff\xfe"])
def test_a_damaged_line_is_named_and_the_file_untouched(line, tmp_path: Path):
    path = tmp_path / "run.jsonl"
    data = b'{"kind": "a"}\n' + line + b'\n{"kind": "b"}\n'
    path.write_bytes(data)
    for _ in range(2):  # it is let go after a failure
        with pytest.raises(FormatError, match=r"Line 2 .*run\.jsonl"), open_journal(path):
            pass
    assert path.read_bytes() == data


def test_a_second_one_is_refused(tmp_path: Path):
    path = tmp_path / "run.jsonl"
    with (
        open_journal(path),
        pytest.raises(UnavailableError, match="Another process"),
        open_journal(path),
    ):
        pass
    with open_journal(path):
        pass


async def test_a_cancelled_writer_leaves_a_whole_record(tmp_path: Path):
    path = tmp_path / "run.jsonl"
    with open_journal(path) as journal:
        for number in range(20):
            task = asyncio.create_task(journal.append({"kind": "n", "number": number}))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        before = journal.records()
    with open_journal(path) as journal:
        assert journal.records() == before


async def test_a_full_disk_is_an_error_and_loses_nothing_before(tmp_path: Path):
    path = tmp_path / "run.jsonl"
    with open_journal(path) as journal:
        await journal.append({"kind": "a"})
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            with pytest.raises(StorageError, match=r"run\.jsonl.*Free some space"):
                await journal.append({"kind": "b", "words": "x" * 10_000})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, before)
        assert [record["kind"] for record in journal.records()] == ["a"]
        await journal.append({"kind": "c"})
    with open_journal(path) as journal:
        assert [record["kind"] for record in journal.records()] == ["a", "c"]


def test_a_folder_that_may_not_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(StorageError, match="cannot be written"),
        open_journal(tmp_path / "file" / "run.jsonl"),
    ):
        pass


def test_nobody_else_reads_a_journal(tmp_path: Path):
    with open_journal(tmp_path / "run.jsonl"):
        assert (tmp_path / "run.jsonl").stat().st_mode & 0o077 == 0
