"""Ways out of the sandbox: each is held inside, and leads out when the same text runs without."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from escapes import CALLS, NEEDS_ROOT_OUTSIDE, NOT_EVERYWHERE, QUIET, calls_program, program

from kataribe.sandbox.limits import MB, Limits
from kataribe.sandbox.session import Session, Setup

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (make system)"
)
x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86_64")
HERE = Path(__file__).parent
LIMITS = Limits(
    cpu_seconds=20, memory_bytes=512 * MB, threads=16, file_bytes=4 * MB, folder_bytes=16 * MB
)
VICTIM = """
import ctypes, sys
held = ctypes.create_string_buffer(b"SECRET12")
print(ctypes.addressof(held), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """Things outside that a program could reach: a secret, servers, a process."""
    outside = tmp_path_factory.mktemp("outside")
    secret = outside / "secret.txt"
    secret.write_text("SECRET")
    folder = tmp_path_factory.mktemp("work")
    servers = [
        socket.create_server(("127.0.0.1", 0)),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        socket.socket(socket.AF_UNIX),
        socket.socket(socket.AF_UNIX),
    ]
    servers[1].bind(("127.0.0.1", 0))
    with contextlib.chdir(folder):  # a socket's path must be short
        servers[2].bind("door")
    abstract = f"kataribe-{os.getpid()}"
    servers[3].bind(f"\0{abstract}")
    for server in servers[2:]:
        server.listen(64)
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"TOKEN": "SECRET"},
    )
    yield {
        "secret": str(secret),
        "outside": str(outside),
        "folder": str(folder),
        "tcp": servers[0].getsockname()[1],
        "udp": servers[1].getsockname()[1],
        "abstract": abstract,
        "victim": victim.pid,
        "address": int(victim.stdout.readline()),
        "name": abstract,
        "node": os.uname().nodename,
        "uid": os.getuid(),
    }
    for server in servers:
        server.close()
    victim.communicate()
    Path("/dev/shm", abstract).unlink(missing_ok=True)


@pytest.fixture(scope="module", autouse=True)
def inherited(facts):
    """A secret in the environment, and an open descriptor that children inherit."""
    with pytest.MonkeyPatch.context() as patch, Path(facts["secret"]).open("rb") as file:
        patch.setenv("MY_TOKEN", "SECRET")
        os.set_inheritable(file.fileno(), 1)
        yield


@pytest.fixture
def session(facts):
    # Its own folder each time, with the door in it: a socket of the host that it could talk to.
    with Session(Setup(limits=LIMITS, folder=Path(facts["folder"]))) as session:
        yield session


@x86
@pytest.mark.parametrize("name", QUIET)
def test_held_inside(session, facts, name):
    outcome = session.run(program(name, json.dumps(facts)))
    assert "THROUGH" not in outcome.stdout
    assert "HELD" in outcome.stdout or outcome.ended == "crash", outcome
    for left in Path(facts["folder"]).iterdir():
        assert not left.is_symlink()
        if left.name != "door":
            left.unlink()


@x86
@pytest.mark.parametrize("name", QUIET)
def test_open_without_the_sandbox(facts, name, tmp_path):
    """The control: the same text gets through where no wall stands, so the test above can fail."""
    if name in NEEDS_ROOT_OUTSIDE and os.getuid() != 0:
        pytest.skip("only root can do it outside")
    (tmp_path / "door").symlink_to(f"{facts['folder']}/door")
    done = subprocess.run(
        [sys.executable, "-I", "-c", program(name, json.dumps(facts))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        close_fds=False,
        timeout=60,
        check=False,
    )
    if name in NOT_EVERYWHERE and "THROUGH" not in done.stdout:
        pytest.skip(f"this kernel has no such way: {done.stdout}{done.returncode}")
    assert "THROUGH" in done.stdout, (done.stdout, done.stderr)


@x86
def test_dangerous_calls_are_refused_unseen(session):
    outcome = session.run(calls_program())
    refused = json.loads(outcome.stdout)
    assert set(refused) == set(CALLS)
    # EPERM, ENOSYS, or ENOTSUP for extended attributes: never the kernel's word on the arguments.
    assert {name: code for name, code in refused.items() if code not in (1, 38, 95)} == {}


@x86
@pytest.mark.skipif(os.getuid() != 0, reason="the kernel refuses ordinary users most of them")
def test_the_kernel_would_look_at_dangerous_calls(tmp_path):
    """The control: for root without the filter the kernel goes on to the (bad) arguments."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", calls_program()], capture_output=True, text=True, check=True
    )
    answers = json.loads(done.stdout)
    looked_at = {name for name, code in answers.items() if code not in (1, 38)}
    assert len(looked_at) > 0.8 * len(CALLS), sorted(set(CALLS) - looked_at)


@x86
@pytest.mark.skipif(os.getuid() != 0, reason="becomes an ordinary user")
def test_an_ordinary_user_is_held_as_well(facts, tmp_path):
    """The same ways, tried by a sandbox that an ordinary user's process started."""
    script = HERE / "escapes_as_user.py"
    python = "/usr/bin/python3"
    source = str(HERE.parents[1] / "src")
    as_user = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
    tried = subprocess.run(
        [python, "-B", "-c", f"import sys; sys.path[:0]=[{source!r}]; import kataribe.sandbox"],
        env={},
        capture_output=True,
        text=True,
        check=False,
        **as_user,
    )
    if tried.returncode:
        pytest.skip(f"an ordinary user cannot read this checkout or Python: {tried.stderr[-200:]}")
    done = subprocess.run(
        [python, "-B", str(script), source, json.dumps(facts)],
        env={"MY_TOKEN": "SECRET"},
        capture_output=True,
        text=True,
        check=False,
        **as_user,
    )
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout)
    assert set(ended) == set(QUIET)
    assert {name: said for name, said in ended.items() if "THROUGH" in said} == {}
    assert {n: s for n, s in ended.items() if "HELD" not in s and "crash" not in s} == {}
