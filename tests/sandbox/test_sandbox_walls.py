"""Without walls nothing runs: no bubblewrap, a false one, one that fails, another system."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kataribe.base.errors import UnsupportedError
from kataribe.sandbox import bubblewrap, process, verify
from kataribe.sandbox.session import Session, Setup, missing

needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (make system)"
)
SOURCE = str(Path(__file__).parents[2] / "src")

FALSE_BWRAP = """#!{python}
# Does what a sandbox has to be told of, but puts up no wall.
import json, os, subprocess, sys
words = sys.argv[1:]
status = int(words[words.index("--json-status-fd") + 1])
rest = words[words.index("--") + 1 :]
settings = json.loads(rest[-1])
settings["uid"] = None
keeper = os.fork()
if keeper == 0:
    child = subprocess.Popen(
        [{python!r}, "-I", "-S", {interpreter!r}, json.dumps(settings)],
        pass_fds=(settings["commands"], settings["replies"]),
    )
    os._exit(child.wait())
os.write(status, json.dumps({{"child-pid": keeper}}).encode())
os.close(status)
os.waitpid(keeper, 0)
"""


@pytest.fixture
def false_bwrap(tmp_path, monkeypatch):
    """A `bwrap` that runs the interpreter without any wall."""
    interpreter = Path(bubblewrap.__file__).with_name("interpreter.py")
    text = interpreter.read_text().replace('os.chdir("/work")', "pass")
    (tmp_path / "interpreter.py").write_text(text)
    false = tmp_path / "bwrap"
    false.write_text(
        FALSE_BWRAP.format(python=sys.executable, interpreter=str(tmp_path / "interpreter.py"))
    )
    false.chmod(false.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(bubblewrap, "find_bubblewrap", lambda: str(false))
    return false


def test_a_false_bubblewrap_is_found_out(false_bwrap, tmp_path):
    planted = tmp_path / "ran"
    with Session() as session, pytest.raises(UnsupportedError) as told:
        session.run(f"open({str(planted)!r}, 'w')")
    assert not planted.exists()
    words = told.value.message
    assert "Nothing was run" in words
    for wall in ("net namespace", "pid namespace", "mnt namespace", "not filtered", "gain rights"):
        assert wall in words


def test_the_false_one_would_have_run_it(false_bwrap, tmp_path, monkeypatch):
    """The control: where nobody looks, the code does run, so the test above can fail."""
    monkeypatch.setattr(verify, "missing_walls", lambda *_: [])
    planted = tmp_path / "ran"
    with Session() as session:
        session.run(f"open({str(planted)!r}, 'w')")
    assert planted.exists()


@needs_bwrap
@pytest.mark.parametrize(
    ("without", "words"),
    [
        ("--unshare-net", "net namespace"),
        ("--unshare-pid", "process cannot be found|pid namespace"),
        ("--unshare-ipc", "ipc namespace"),
        ("--unshare-uts", "uts"),
        ("--seccomp", "not filtered"),
    ],
)
def test_each_missing_wall_is_named(monkeypatch, without, words):
    real = bubblewrap.command_line

    def less(*arguments, **named):
        line = real(*arguments, **named)
        at = line.index(without)
        del line[at : at + (2 if without == "--seccomp" else 1)]
        return line

    monkeypatch.setattr(bubblewrap, "command_line", less)
    with Session() as session, pytest.raises(UnsupportedError, match=words):
        session.run("1")


@needs_bwrap
def test_limits_that_do_not_hold_are_named(monkeypatch):
    real = process.rlimits
    asked = iter([{}, None])

    def first_none(limits, *, as_root):
        given = next(asked, None)
        return real(limits, as_root=as_root) if given is None else given

    monkeypatch.setattr(process, "rlimits", first_none)
    with Session() as session, pytest.raises(UnsupportedError, match="RLIMIT_AS"):
        session.run("1")


def test_without_bubblewrap_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(UnsupportedError, match="apt install bubblewrap"):
        Session()
    assert "bubblewrap" in missing()


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_other_systems_are_refused(monkeypatch, system):
    monkeypatch.setattr(platform, "system", lambda: system)
    with pytest.raises(UnsupportedError, match=f"Linux only.*{system}"):
        Session()


def test_a_bubblewrap_that_fails_is_told_in_its_own_words(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "find_bubblewrap", lambda: str(broken))
    with Session() as session, pytest.raises(UnsupportedError) as told:
        session.run("1")
    assert "No permissions to create namespace" in told.value.message
    assert "container" in told.value.message
    assert "Nothing was run" in told.value.message


PUSH = """
import fcntl, os
pushed = []
for where in (0, 1, 2, '/dev/tty'):
    try:
        descriptor = where if isinstance(where, int) else os.open(where, os.O_RDWR)
        fcntl.ioctl(descriptor, 0x5412, b'!')
        pushed.append(where)
    except OSError:
        continue
"""
IN_SANDBOX = """
import sys
sys.path.insert(0, {source!r})
from kataribe.sandbox.session import run_once
outcome, _ = run_once({push!r} + 'pushed')
open({told!r}, 'w').write(str(outcome.value))
"""


@needs_bwrap
def test_nothing_can_be_typed_into_the_terminal(tmp_path):
    """TIOCSTI puts letters into a terminal as if its user had typed them."""
    told = tmp_path / "told"
    subprocess.run(
        [
            sys.executable,
            "-c",
            RUN_ON_A_TERMINAL,
            IN_SANDBOX.format(source=SOURCE, push=PUSH, told=str(told)),
        ],
        check=True,
    )
    assert told.read_text() == "[]"


def test_without_the_sandbox_something_could(tmp_path):
    told = tmp_path / "told"
    plain = f"{PUSH}\nopen({str(told)!r}, 'w').write(str(pushed))"
    subprocess.run([sys.executable, "-c", RUN_ON_A_TERMINAL, plain], check=True)
    switch = Path("/proc/sys/dev/tty/legacy_tiocsti")
    if told.read_text() == "[]" and switch.exists() and switch.read_text().strip() == "0":
        pytest.skip("this kernel has TIOCSTI switched off")
    assert "0" in told.read_text()


# In a process of its own: a fork of one with threads would warn.
RUN_ON_A_TERMINAL = """
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])
_, status = os.waitpid(child, 0)
sys.exit(status != 0)
"""


@needs_bwrap
def test_missing_walls_of_this_very_process_are_seen():
    found = verify.missing_walls(os.getpid(), os.getuid(), {})
    assert len([each for each in found if "namespace" in each]) == 5
    assert any("not filtered" in each for each in found)


def test_a_process_that_is_gone_has_no_walls():
    assert verify.missing_walls(2**22 + 1, 0, {})


@needs_bwrap
@pytest.mark.skipif(os.getuid() != 0, reason="root's own way")
def test_root_is_nobody_inside(tmp_path):
    with Session(Setup(folder=tmp_path)) as session:
        told = session.run("import os; (os.getuid(), os.getgid(), os.getgroups())").value
        uid, gid, groups = eval(told)  # three numbers
        assert bubblewrap.FIRST_NUMBER <= uid <= bubblewrap.LAST_NUMBER
        assert (gid, groups) == (uid, [])
        status = Path("/proc", str(session._process.pid), "status").read_text()
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
