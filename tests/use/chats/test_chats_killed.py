"""A process that ends in the middle, however it ends, loses nothing that was finished."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from kataribe.store import conversations, messages, queue
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.tables import LOCAL

SERVER = Path(__file__).parent / "scripted_server.py"
PACE = 0.01


@dataclass
class Seen:
    """What a page was told before the end."""

    tried: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    """Pieces of running replies."""


@contextmanager
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, str(SERVER), "0", str(folder), str(PACE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def listen(url: str, talk: str, seen: Seen) -> None:
    address = f"{url}/studio/api/events?conversation={talk}"
    name = ""
    with suppress(httpx.HTTPError), httpx.stream("GET", address, timeout=30) as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                note(seen, name, json.loads(line.removeprefix("data: ")))


def note(seen: Seen, name: str, value: dict) -> None:
    if name == "message" and value["state"] == "done":
        seen.finished[value["id"]] = value["text"]
    if name == "joined":  # what was said before the page was there
        for live in value["live"]:
            seen.words[live["id"]] = [live["text"]]
    if name == "delta":
        seen.words.setdefault(value["id"], []).append(value["text"])


def talk_until_killed(folder: Path, talk: str, what: str, after: float, seen: Seen) -> None:
    with running(folder) as (process, url), httpx.Client(base_url=url, timeout=10) as client:
        client.post("/studio/api/conversations", json={"id": talk}).raise_for_status()
        listening = threading.Thread(target=listen, args=(url, talk, seen))
        listening.start()
        timer = threading.Timer(after, process.send_signal, (signal.SIGKILL,))
        with suppress(httpx.HTTPError):
            while True:
                id_ = new_id()
                text = f"{what} {len(seen.sent)}"
                body = {"id": id_, "text": text}
                seen.tried.add(id_)
                where = f"/studio/api/conversations/{talk}/messages"
                if client.post(where, json=body).is_success:
                    seen.sent[id_] = text
                if len(seen.sent) == 1:  # there is something to lose from now on
                    with suppress(RuntimeError):
                        timer.start()
                time.sleep(random.random() * 0.2)
        timer.join()
        listening.join()


def check(folder: Path, talk: str, seen: Seen) -> int:
    """Looks for all that a page was told; gives how many letters of unfinished replies it found."""
    store = Store(folder / "kataribe.db")
    with store.reading() as tx:
        conversations.get(tx, LOCAL, talk)
        found = {m.id: m for m in messages.read(tx, talk, [n.id for n in messages.nodes(tx, talk)])}
        waiting = {item.id: item.text for item in queue.waiting(tx, talk)}
    store.close()
    for id_, text in seen.sent.items():
        assert (found[id_].text if id_ in found else waiting[id_]) == text
    for id_, text in seen.finished.items():
        assert (found[id_].text, found[id_].state) == (text, "done")
    cut = seen.words.keys() - seen.finished.keys()
    for id_ in cut:
        told = "".join(seen.words[id_])
        assert found[id_].text.startswith(told), "words that a page showed are lost"
        assert found[id_].model == "scripted"
    return sum(len(piece) for id_ in cut for piece in seen.words[id_])


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for number in range(4):
        folder = tmp_path / str(number)
        talk, seen = new_id(), Seen()
        is_long = number % 2 == 1  # for ten seconds, in which the others wait
        what, after = ("long question", 3.0) if is_long else ("question", 0.3)
        after += source.random() * (1 if is_long else 2)
        talk_until_killed(folder, talk, what, after, seen)
        assert seen.sent
        with running(folder) as (_, url):
            compared = check(folder, talk, seen)
            assert compared > 0 or not is_long, "nothing was being written, nothing was compared"
            shown = httpx.get(f"{url}/studio/api/conversations/{talk}", timeout=60).json()
            states = {m["state"] for m in shown["messages"] if m["role"] == "assistant"}
            assert states <= {"done", "interrupted"}
            assert {item["id"] for item in shown["queue"]} <= seen.tried
            assert [file.name for file in folder.glob("*-reply-*")] == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_end_keeps_every_word(tmp_path: Path, how: signal.Signals) -> None:
    talk, seen = new_id(), Seen()
    with running(tmp_path) as (process, url):
        httpx.post(
            f"{url}/studio/api/conversations", json={"id": talk}, timeout=60
        ).raise_for_status()
        listening = threading.Thread(target=listen, args=(url, talk, seen))
        listening.start()
        where = f"{url}/studio/api/conversations/{talk}/messages"
        httpx.post(where, json={"id": new_id(), "text": "Hello"}, timeout=60).raise_for_status()
        while not any(map("".join, seen.words.values())):  # a page may join before the first
            time.sleep(0.01)
        process.send_signal(how)
        assert process.wait(timeout=15) == 0
        listening.join()
    store = Store(tmp_path / "kataribe.db")
    with store.reading() as tx:
        reply = messages.read(tx, talk, list(seen.words))[0]
    store.close()
    told = "".join(seen.words[reply.id])
    assert reply.state == "interrupted"
    assert told
    assert reply.text.startswith(told)
