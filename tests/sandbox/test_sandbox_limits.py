"""What a program may use up: each limit ends it by name, and without the limit it would go on."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

import pytest

from kataribe.base.errors import InputError
from kataribe.sandbox.limits import MB, Limits
from kataribe.sandbox.session import Session, Setup, run_once

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (make system)"
)
SMALL = Limits(
    cpu_seconds=1,
    wall_seconds=3,
    memory_bytes=256 * MB,
    threads=8,
    file_bytes=1 * MB,
    folder_bytes=4 * MB,
    files=100,
    output_bytes=100_000,
)
WIDE = Limits(cpu_seconds=20, wall_seconds=60, files=100_000, open_files=1024)
IGNORE = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        continue
"""


def end_of(code, limits=SMALL):
    return run_once(code, setup=Setup(limits=limits))[0]


@pytest.mark.parametrize("prefix", ["", IGNORE], ids=["plain", "ignoring every signal"])
def test_an_endless_loop(prefix):
    outcome = end_of(f"{prefix}\nwhile True: pass")
    assert outcome.ended == "cpu"
    assert "processor time, where 1 are allowed" in outcome.detail
    assert outcome.cpu_seconds >= 1


def test_an_endless_loop_in_threads():
    code = (
        "import threading, zlib\n"
        "def work():\n    while True: zlib.compress(bytes(10**7))\n"
        "for _ in range(4): threading.Thread(target=work).start()"
    )
    outcome = end_of(code + "\nwork()")
    assert outcome.ended in ("cpu", "wall")


@pytest.mark.parametrize("prefix", ["", IGNORE], ids=["plain", "ignoring every signal"])
def test_endless_waiting(prefix):
    outcome = end_of(f"{prefix}\nimport time\nwhile True: time.sleep(100)")
    assert outcome.ended == "wall"
    assert "3" in outcome.detail


def test_processor_time_is_counted_for_each_run():
    half = "import time\nend = time.process_time() + 0.7\nwhile time.process_time() < end: pass"
    with Session(Setup(limits=SMALL)) as session:
        assert [session.run(half).ended for _ in range(3)] == ["done"] * 3


def test_a_memory_bomb_and_the_session_goes_on():
    with Session(Setup(limits=SMALL)) as session:
        session.run("kept = 1")
        outcome = session.run("many = []\nwhile True: many.append(bytearray(10**7))")
        assert outcome.ended == "memory"
        assert str(256 * MB) in outcome.detail
        assert session.run("del many; kept").value == "1"
    assert end_of("len(bytearray(400 << 20))", WIDE).value == str(400 << 20)  # the control


def test_memory_that_is_used_up_to_the_last_byte():
    """Nothing is left with which to tell it, but for what was put aside."""
    code = "many = None\nwhile True: many = (many, bytes(600))"
    with Session(Setup(limits=replace(SMALL, cpu_seconds=20, wall_seconds=60))) as session:
        outcome = session.run(code)
        assert outcome.ended == "memory"
        assert "MemoryError" in outcome.error


def test_a_file_that_is_too_large():
    outcome = end_of("open('big', 'wb').write(bytes(2 << 20))")
    assert outcome.ended == "file"
    assert str(MB) in outcome.detail
    assert end_of("open('big', 'wb').write(bytes(2 << 20))", WIDE).ended == "done"


DISK = {
    "many files": "for n in range(90): open(f'f{n}', 'wb').write(bytes(200_000))",
    "without names": (
        "import os\nheld = []\nfor n in range(30):\n    held.append(open(f'f{n}', 'wb'))\n"
        "    held[-1].write(bytes(900_000)); held[-1].flush(); os.unlink(f'f{n}')"
    ),
    "holes": "import os\nfor n in range(40): os.posix_fallocate(os.open(f'f{n}', 66), 0, 1 << 20)",
}


@pytest.mark.parametrize("name", DISK)
def test_a_full_folder(name):
    outcome = end_of(DISK[name])
    assert outcome.ended == "folder", outcome
    assert str(4 * MB) in outcome.detail
    assert end_of(DISK[name], WIDE).ended == "done"


FILES = {
    "files": "for n in range(500): open(f'f{n}', 'w')",
    "folders": "import os\nfor n in range(500): os.mkdir(f'd{n}')",
    "nested": "import os\nfor n in range(3000):\n    os.mkdir('d')\n    os.chdir('d')",
    "locked": "import os\nfor n in range(500): os.mkdir(f'd{n}', 0)",
}


@pytest.mark.parametrize("name", FILES)
def test_too_many_files(name):
    with Session(Setup(limits=SMALL)) as session:
        outcome = session.run(FILES[name])
        assert outcome.ended == "files", outcome
        assert "removed" in outcome.detail
        assert session.run("import os; os.listdir()").value == "[]"
        folder = session.folder
    assert not folder.exists()


def test_what_was_there_before_outlives_a_bomb(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with Session(Setup(limits=SMALL, folder=tmp_path)) as session:
        session.run("import os; os.mkdir('kept'); open('kept/also.txt', 'w').write('also')")
        outcome = session.run(FILES["files"] + "\nopen('kept/new.txt', 'w')")
        assert outcome.ended == "files"
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["kept", "kept/also.txt", "mine.txt"]


def test_a_folder_that_holds_too_much_already_loses_nothing(tmp_path):
    for number in range(120):
        (tmp_path / f"{number}.txt").write_text("mine")
    with (
        Session(Setup(limits=SMALL, folder=tmp_path)) as session,
        pytest.raises(InputError, match="more than 100 files"),
    ):
        session.run("1")
    assert len(list(tmp_path.iterdir())) == 120
    with Session(Setup(limits=SMALL, folder=tmp_path)) as session:
        for number in range(20, 120):
            (tmp_path / f"{number}.txt").unlink()
        assert session.run("import os; len(os.listdir())").value == "20"


def test_bytes_that_were_there_before_are_counted_and_kept(tmp_path):
    (tmp_path / "mine").write_bytes(bytes(5 * MB))
    with Session(Setup(limits=SMALL, folder=tmp_path)) as session:
        assert session.run("open('new', 'w').write('x')").ended == "folder"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_endless_output(stream):
    outcome = end_of(f"import sys\nwhile True: sys.{stream}.write('あ' * 1000)")
    assert outcome.ended == "output"
    assert len(getattr(outcome, stream).encode()) <= 100_003
    assert getattr(outcome, stream).startswith("ああ")


def test_many_threads():
    code = (
        "import threading\ngate = threading.Event()\nstarted = 0\n"
        "try:\n    for _ in range(50):\n        threading.Thread(target=gate.wait).start()\n"
        "        started += 1\nfinally:\n    gate.set()"
    )
    with Session(Setup(limits=SMALL)) as session:
        outcome = session.run(code)
        assert "can't start new thread" in outcome.error
        started = int(session.run("started").value)
        assert started == SMALL.threads - 1
    assert end_of(code, replace(WIDE, threads=100)).ended == "done"


def test_open_files():
    code = "[open(f'f{n}', 'w') for n in range(80)]"
    assert "Too many open files" in end_of(code).error
    assert end_of(code, WIDE).ended == "done"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os._exit(7)", "exit code 7"),
        ("import ctypes; ctypes.string_at(0)", "exit code 139"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit code 137"),
        ("import os; os.execv('/opt/python/bin/python3', ['x'])", ""),
    ],
)
def test_a_crash_is_told_and_the_next_run_begins_anew(code, words):
    with Session() as session:
        session.run("x = 1; open('kept', 'w').write('k')")
        outcome = session.run(f"print('so far', flush=True)\n{code}")
        assert outcome.stdout == "so far\n"
        if words:
            assert outcome.ended == "crash"
            assert words in outcome.detail
            assert not outcome.state_is_kept
            assert "NameError" in session.run("x").error
        assert session.run("open('kept').read()").value == "'k'"


def test_a_session_stands_many_runs_from_many_threads():
    with Session() as session:
        session.run("total = 0")
        values = []

        def add():
            mine = [session.run("total += 1; total").value for _ in range(20)]
            values.extend(int(value) for value in mine)

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(values) == list(range(1, 81))


def test_nothing_of_it_is_left(tmp_path):
    with Session() as session:
        folder = session.folder
        session.run("import os; os.makedirs('a/b'); os.chmod('a', 0)")
    assert not folder.exists()
