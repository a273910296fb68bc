"""Sessions: state, values, files, one shot, cancelling, and ends."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kataribe.base.errors import InputError, NotFoundError, UnavailableError
from kataribe.sandbox.limits import MB, Limits
from kataribe.sandbox.outcome import MadeFile
from kataribe.sandbox.session import LONGEST_CODE, Session, Setup, missing, run_once

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (make system)"
)


def test_it_works_here():
    assert missing() is None


def test_state_stays_between_runs():
    with Session() as session:
        assert session.run("x = 40\ndef more(): return x + 2").value is None
        outcome = session.run("print('日本語'); more()")
    assert (outcome.ended, outcome.stdout, outcome.value) == ("done", "日本語\n", "42")
    assert outcome.state_is_kept


def test_what_is_raised_is_told_and_the_state_stays():
    with Session() as session:
        outcome = session.run("y = 1\n\nprint('before')\ny / 0")
        assert (outcome.ended, outcome.stdout) == ("error", "before\n")
        assert outcome.error.startswith("Traceback")
        assert 'File "<run 1>", line 4' in outcome.error
        assert "y / 0" in outcome.error
        assert "interpreter" not in outcome.error
        assert "ZeroDivisionError: division by zero" in outcome.error
        assert session.run("y").value == "1"
        assert "SyntaxError" in session.run("x = = 1").error
        assert session.run("raise KeyboardInterrupt").ended == "error"
        assert session.run("import sys; sys.exit()").ended == "done"
        assert "SystemExit: 3" in session.run("sys.exit(3)").error
        assert session.run("y").value == "1"


def test_values_that_cannot_be_shown_are_errors_of_the_code():
    with Session() as session:
        bad = "class Bad:\n    def __repr__(self): raise ValueError('no')\nBad()"
        assert "ValueError: no" in session.run(bad).error
        long = session.run("'x' * 10_000_000")
    assert long.ended == "done"
    assert len(long.value) < 100_000
    assert "characters left out" in long.value


def test_errors_and_output_of_native_code_arrive():
    with Session() as session:
        outcome = session.run("import os, sys; os.write(1, b'a\\xff'); print('e', file=sys.stderr)")
    assert (outcome.stdout, outcome.stderr) == ("a\ufffd", "e\n")


def test_files_go_in_and_come_out():
    with Session() as session:
        session.write("data/in.csv", b"1,2\n")
        session.run("open('old.txt', 'w').write('old')")
        outcome = session.run(
            "import os; os.makedirs('out/deep'); text = open('data/in.csv').read()\n"
            "open('out/deep/sum.txt', 'w').write(str(sum(map(int, text.split(',')))))"
        )
        assert outcome.files == (MadeFile("out/deep/sum.txt", 1),)
        assert session.read(outcome.files[0]) == b"3"
        assert session.run("open('data/in.csv', 'a').write('3')").files == (
            MadeFile("data/in.csv", 5),
        )
        folder = session.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_a_given_folder_stays_with_its_owner(tmp_path):
    (tmp_path / "in.txt").write_text("here")
    before = (tmp_path / "in.txt").stat()
    with Session(Setup(folder=tmp_path)) as session:
        assert session.run("open('in.txt').read()").value == "'here'"
        session.run("import os; os.mkdir('made'); open('made/out.txt', 'w').write('out')")
    assert (tmp_path / "made" / "out.txt").read_text() == "out"
    for path in (tmp_path, tmp_path / "in.txt", tmp_path / "made" / "out.txt"):
        assert (path.stat().st_uid, path.stat().st_gid) == (before.st_uid, before.st_gid)


def test_one_shot():
    outcome, files = run_once(
        "open('b.txt', 'w').write(open('a.txt').read() * 2); 7", {"a.txt": b"ab"}
    )
    assert outcome.value == "7"
    assert files == {"b.txt": b"abab"}


def test_packages_are_there_only_when_they_are_named():
    with Session() as session:
        assert "No module named 'numpy'" in session.run("import numpy").error
    with Session(Setup(packages=["numpy"])) as session:
        outcome = session.run("import numpy; float(numpy.linalg.norm(numpy.ones((30, 30))))")
        assert outcome.value == "30.0", outcome
        assert "No module named 'httpx'" in session.run("import httpx").error
    with (
        pytest.raises(NotFoundError, match="no_such_package"),
        Session(Setup(packages=["no_such_package"])) as session,
    ):
        session.run("1")


def test_the_standard_library_works():
    code = """
import asyncio, concurrent.futures, csv, ctypes, datetime, decimal, io, json, math, random, re
import shutil, sqlite3, ssl, statistics, tempfile, threading, zipfile, zlib, zoneinfo
base = sqlite3.connect('a.db'); base.execute('create table t(x)'); base.commit(); base.close()
async def two():
    await asyncio.sleep(0.01)
    return await asyncio.to_thread(lambda: 2)
with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(f'{folder}/a.zip', 'w') as archive:
    archive.write('a.db')
shutil.copy2('a.db', 'b.db')
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    squares = list(pool.map(lambda n: n * n, range(5)))
tokyo = datetime.datetime(2026, 11, 23, tzinfo=zoneinfo.ZoneInfo('Asia/Tokyo')).utcoffset()
asyncio.run(two()), squares, statistics.mean([1, 2]), str(tokyo), random.SystemRandom().random() < 1
"""
    with Session() as session:
        outcome = session.run(code)
    assert outcome.value == "(2, [0, 1, 4, 9, 16], 1.5, '9:00:00', True)", outcome
    assert {made.path for made in outcome.files} == {"a.db", "b.db"}


def test_nothing_runs_between_runs():
    """Signals could start code while nobody looks; the process is stopped."""
    code = """
import signal
def tick(*_):
    with open('ticks', 'a') as file:
        file.write('x')
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
"""
    with Session() as session:
        session.run(code)
        stopped = _ticks(session)
        time.sleep(0.3)
        assert _ticks(session) == stopped
        session._process.thaw()  # the control: without the stop it goes on
        time.sleep(0.3)
        assert _ticks(session) > stopped + 3


def _ticks(session):
    path = session.folder / "ticks"
    return path.stat().st_size if path.exists() else 0


async def test_cancelling_stops_the_code():
    with Session() as session:
        assert (await session.run_async("x = 1; x")).value == "1"
        pid = session._process.pid
        running = asyncio.create_task(session.run_async("while True: pass"))
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not _runs(pid)
        assert (await session.run_async("'x' in globals()")).value == "False"


async def test_cancelling_one_that_waits_leaves_the_one_that_runs():
    with Session() as session:
        first = asyncio.create_task(session.run_async("import time; x = 5; time.sleep(0.5); x"))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(session.run_async("x = 6"))
        await asyncio.sleep(0.1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert not first.done()
        assert (await first).value == "5"
        assert (await session.run_async("x")).value == "5"


def test_stop_is_an_outcome():
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with Session() as session:
        outcome = session.run("print('on', flush=True)\nwhile True: pass", stop=stop)
    assert (outcome.ended, outcome.stdout) == ("cancelled", "on\n")
    assert not outcome.state_is_kept


def test_a_closed_session_says_so():
    session = Session()
    session.run("1")
    pid = session._process.pid
    session.close()
    session.close()
    assert not Path("/proc", str(pid)).exists()
    with pytest.raises(UnavailableError, match="closed"):
        session.run("1")


def test_no_descriptor_is_left_behind():
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    run_once("1")
    before = count()
    for code in ("1", "1/0", "import os; os._exit(3)", "while True: print('x' * 1000)"):
        run_once(code, setup=Setup(limits=Limits(output_bytes=10_000)))
    assert count() == before


def test_code_that_is_too_long_is_refused():
    with Session() as session, pytest.raises(InputError, match=str(LONGEST_CODE)):
        session.run("#" * (LONGEST_CODE + 1))


def test_long_code_runs():
    with Session() as session:
        assert session.run("#" * (LONGEST_CODE - 20) + "\n'end'").value == "'end'"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        Session(Setup(folder=tmp_path / "none"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("cpu_seconds", 0), ("cpu_seconds", float("nan")), ("memory_bytes", MB), ("threads", 10**6)],
)
def test_limits_that_make_no_sense(name, value):
    with pytest.raises(InputError, match=name):
        Limits(**{name: value})


def test_the_sandbox_ends_with_its_parent(tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from kataribe.sandbox.session import Session\n"
        "session = Session(); session.run('1'); print(session._process.pid, flush=True)\n"
        "session.run('while True: pass')"
    )
    source = str(Path(__file__).parents[2] / "src")
    parent = subprocess.Popen([sys.executable, "-c", script, source], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    time.sleep(0.3)
    assert Path("/proc", str(pid)).exists()
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    for _ in range(200):
        if not _runs(pid):
            break
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid):
    try:
        return "State:\tZ" not in Path("/proc", str(pid), "status").read_text()
    except OSError:
        return False
