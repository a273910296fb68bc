"""The parent believes nothing: forged, broken and huge replies, and files that are traps."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import shutil
import socket
from pathlib import Path

import pytest

from kataribe.base.errors import InputError, NotFoundError
from kataribe.sandbox import folder as folders
from kataribe.sandbox.frames import BrokenProtocolError, Frames, pack, text_or_none
from kataribe.sandbox.session import Session, Setup

needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (make system)"
)
# The pipe of replies is the one descriptor above 2 that can be written to.
WRITE = """
import json, os, sys, time
def write(data):
    for descriptor in range(3, 30):
        try:
            os.write(descriptor, data)
        except OSError:
            continue
def frame(data):
    write(len(data).to_bytes(4, 'big') + data)
token = sys._getframe(0)
while token and 'command' not in token.f_locals:
    token = token.f_back
token = token.f_locals['command']['token']
"""


class Planted:
    """Unpickled, it makes a file."""

    def __reduce__(self):
        return (os.mkdir, ("/tmp/kataribe-was-here",))


FORGED = {
    "pickle": f"frame({pickle.dumps(Planted())!r})",
    "not json": "frame(b'{')",
    "a list": "frame(b'[1]')",
    "no token": "frame(b'{}')",
    "a wrong token": "frame(json.dumps(dict(token='0', kind='done')).encode())",
    "an unknown kind": "frame(json.dumps(dict(token=token, kind='root')).encode())",
    "a kind that is none": "frame(json.dumps(dict(token=token, kind=['done'])).encode())",
    "a value that is no text": (
        "frame(json.dumps(dict(token=token, kind='done', value=3)).encode())"
    ),
    "a huge length": "write((2**32 - 1).to_bytes(4, 'big'))",
    "deep nesting": "frame(b'[' * 200_000)",
    "deep objects": "frame(b'{\"a\":' * 40_000)",
    "a huge number": "frame(b'{\"token\": ' + b'9' * 200_000 + b'}')",
    "two at once": "d = json.dumps(dict(token=token, kind='done')).encode(); "
    "f = len(d).to_bytes(4, 'big') + d; write(f + f)",
    "no utf-8": 'frame(b\'{"token": "\\xff\\xfe"}\')',
}


@needs_bwrap
@pytest.mark.parametrize("name", FORGED)
def test_forged_replies_end_the_session_and_do_nothing_else(name):
    with Session() as session:
        outcome = session.run(f"{WRITE}\n{FORGED[name]}\ntime.sleep(5)")
        assert outcome.ended == "protocol", outcome
        assert not Path("/tmp/kataribe-was-here").exists()
        assert session.run("1 + 1").value == "2"


@needs_bwrap
def test_a_program_can_lie_about_itself_only():
    """With the token it can say what it likes of its own run; the next run is not mixed up."""
    with Session() as session:
        lie = "frame(json.dumps(dict(token=token, kind='done', value='a\\ud800b')).encode())"
        outcome = session.run(f"{WRITE}\n{lie}\ntime.sleep(1)")
        assert (outcome.ended, outcome.value) == ("done", "a?b")
        after = session.run("2 + 2")  # the true reply of the first run comes now, too late
        assert after.ended in ("protocol", "done")
        assert after.value in (None, "4")
        assert session.run("3 + 3").value == "6"


@needs_bwrap
def test_closing_the_pipes_is_a_crash():
    with Session() as session:
        assert session.run("import os; os.closerange(3, 100)").ended == "crash"
        assert session.run("import os; os.close(1); os.close(2); 5").value == "5"


def test_frames_come_in_any_pieces():
    values = [{"a": "あ" * 50}, {}, {"b": None}]
    data = b"".join(pack(value) for value in values)
    seed = random.randrange(10**9)
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(50):
        frames, found, at = Frames(1000), [], 0
        while at < len(data):
            size = dice.randrange(1, 20)
            found += frames.feed(data[at : at + size])
            at += size
        assert found == values


def test_a_frame_is_refused_before_it_is_read():
    with pytest.raises(BrokenProtocolError, match="1001"):
        Frames(1000).feed((1001).to_bytes(4, "big"))


def test_texts_of_frames():
    assert text_or_none({"a": "x\ud800"}, "a") == "x?"
    assert text_or_none({"a": None}, "a") is None
    with pytest.raises(BrokenProtocolError, match="a"):
        text_or_none({"a": 1}, "a")


def test_nothing_in_the_room_can_unpickle():
    room = Path(folders.__file__).parent
    for path in room.glob("*.py"):
        text = path.read_text("utf-8")
        for word in ("import pickle", "import marshal", "import shelve", "multiprocessing"):
            assert word not in text, path.name


@pytest.fixture
def trap(tmp_path):
    """A folder with everything that a stranger could have left in it."""
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET")
    folder = tmp_path / "work"
    (folder / "inner").mkdir(parents=True)
    (folder / "plain.txt").write_text("plain")
    (folder / "link.txt").symlink_to(secret)
    (folder / "out").symlink_to(tmp_path)
    (folder / "inner" / "up").symlink_to("../..")
    os.mkfifo(folder / "pipe")
    door = socket.socket(socket.AF_UNIX)
    with contextlib.chdir(folder):
        door.bind("door")
    yield folder
    door.close()


@pytest.mark.parametrize(
    "name",
    [
        "link.txt",
        "out/secret.txt",
        "inner/up/secret.txt",
        "../secret.txt",
        "inner/../../secret.txt",
        "/etc/passwd",
        "./plain.txt",
        "inner//x",
        "",
        "a\0b",
        "pipe",
        "door",
        "inner",
        "x" * 5000,
    ],
)
def test_traps_are_not_read_and_not_written(trap, name):
    with pytest.raises((InputError, NotFoundError)):
        folders.read_file(trap, name, 100)
    if name != "x" * 5000:
        with pytest.raises(InputError):
            folders.write_file(trap, name, b"new")
    assert (trap.parent / "secret.txt").read_text() == "SECRET"
    assert sorted(p.name for p in trap.parent.iterdir()) == ["secret.txt", "work"]


def test_files_are_read_and_replaced_whole(trap):
    assert folders.read_file(trap, "plain.txt", 100) == b"plain"
    folders.write_file(trap, "plain.txt", b"new")
    folders.write_file(trap, "a/b/c.txt", b"deep")
    assert (trap / "plain.txt").read_bytes() == b"new"
    assert (trap / "a/b/c.txt").read_bytes() == b"deep"
    assert not [p for p in trap.iterdir() if p.name.endswith(".new")]
    with pytest.raises(InputError, match="3 bytes; at most 2"):
        folders.read_file(trap, "plain.txt", 2)
    with pytest.raises(NotFoundError, match=r"gone\.txt"):
        folders.read_file(trap, "gone.txt", 2)


def test_removing_follows_no_link(trap):
    path = trap / "deep"
    for _ in range(100):  # deeper than the walk goes at once
        path = path / "d"
    path.mkdir(parents=True)
    (path / "end.txt").write_text("x")
    folders.remove_tree(trap)
    assert not trap.exists()
    assert (trap.parent / "secret.txt").read_text() == "SECRET"


def test_measures_agree_with_a_slow_count(trap):
    size = folders.measure(trap, 1000)
    slow = [
        Path(where, name)
        for where, folders_in, files in os.walk(trap)
        for name in (*folders_in, *files)
    ]
    assert size.files == len(slow)
    assert size.bytes == 512 * sum(path.lstat().st_blocks for path in slow)
    assert folders.measure(trap, 3).files > 3


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_file_with_two_names_is_not_given_away(tmp_path):
    (tmp_path / "outside").write_text("root's")
    folder = tmp_path / "work"
    folder.mkdir()
    os.link(tmp_path / "outside", folder / "second")
    (folder / "own").write_text("x")
    folders.give_to(folder, 61500, 61500)
    assert (folder / "own").stat().st_uid == 61500
    assert (tmp_path / "outside").stat().st_uid == 0


@needs_bwrap
def test_links_in_a_given_folder_lead_nowhere(trap):
    with Session(Setup(folder=trap)) as session:
        outcome = session.run("open('link.txt').read()")
        assert "FileNotFoundError" in outcome.error
        outcome = session.run("import os; os.rename('link.txt', 'made.txt')")
        assert outcome.files == ()
        with pytest.raises(InputError, match="Links are not followed"):
            session.read("made.txt")


@needs_bwrap
def test_odd_names_are_shown_as_text():
    with Session() as session:
        outcome = session.run("open(b'\\xff\\n.txt', 'w').write('x')")
        assert json.dumps([made.path for made in outcome.files]).isascii()
        [made] = outcome.files
        assert made.path.encode("utf-8")
