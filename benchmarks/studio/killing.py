"""A server that is killed while it writes and while messages queue: what of it is lost."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from benchmarks.studio.record import Record
from benchmarks.studio.stage import PATIENCE, Server
from kataribe.store.ids import new_id

LONG = "1000 tokens, 200 a second"
"""What every second conversation begins with; it is ended while this is written."""

AT_ONCE = 200
"""Messages that one request gives."""


@dataclass
class Told:
    """What a page was told before the end."""

    talk: str = field(default_factory=new_id)
    sent: dict[str, str] = field(default_factory=dict)
    finished: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Replies that had ended: their state and words."""
    words: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """Pieces of all replies: the place of each in UTF-16 units, and itself."""

    @property
    def cut(self) -> Sequence[Sequence[tuple[int, str]]]:
        """Those of the replies that were being written at the end."""
        return [pieces for id_, pieces in self.words.items() if id_ not in self.finished]


@dataclass(frozen=True)
class Found:
    """What is there afterwards: all messages of the tree, and what waits."""

    messages: Sequence[Mapping[str, Any]]
    queue: Sequence[Mapping[str, Any]]


def losses(told: Told, found: Found) -> list[str]:
    """Everything that should be there and is not, or not as it was, one line each."""
    by_id = {message["id"]: message for message in found.messages}
    spoken = [message for message in found.messages if message["role"] == "user"]
    places = Counter(id_ for one in spoken for id_ in (one["id"], *one["sources"]))
    places.update(item["id"] for item in found.queue)
    texts = {id_: one["text"] for one in spoken for id_ in (one["id"], *one["sources"])}
    texts.update((item["id"], item["text"]) for item in found.queue)
    lost = []
    for id_, text in told.sent.items():
        if places[id_] == 0:
            lost.append(f"a question is gone: {text!r}")
        elif places[id_] > 1:
            lost.append(f"a question stands {places[id_]} times: {text!r}")
        elif text not in texts[id_].split("\n\n"):
            lost.append(f"a question says {texts[id_]!r}, not {text!r}")
    for id_, (state, text) in told.finished.items():
        now = by_id.get(id_)
        if now is None:
            lost.append(f"a finished reply of {len(text)} characters is gone")
        elif (now["state"], now["text"]) != (state, text):
            lost.append(f"a finished reply was {state} and is {now['state']}, or its words changed")
    for id_, pieces in told.words.items():
        kept = by_id[id_]["text"].encode("utf-16-le") if id_ in by_id else b""
        # By its place, as a page puts it: whoever joins late is told of the rest only.
        gone = [
            piece
            for at, piece in pieces
            if kept[2 * at :][: len(encoded := piece.encode("utf-16-le"))] != encoded
        ]
        if gone:
            lost.append(f"of {len(pieces)} pieces of a reply {len(gone)} are not kept")
    live = [message for message in found.messages if message["state"] in ("waiting", "writing")]
    return [*lost, *["a reply is said to be written, by a process that is gone"] * len(live)]


def run(record: Record, folder: Path, times: int, seed: int) -> None:
    """Kills so many servers on one folder, each in a conversation of its own, and looks for it."""
    folder.mkdir(parents=True)
    random = Random(seed)
    counts: list[float] = []
    every: list[Told] = []
    for place in range(times + 1):
        server = Server(folder)
        try:
            if every:
                gone = losses(every[-1], look(server, every[-1].talk))
                counts.append(len(gone))
                for line in gone:
                    record.remark("Lost", f"kill {place} (seed {seed}): {line}")
            if place < times:
                every.append(_talk_until_killed(server, random, is_long=place % 2 == 1))
            else:
                later = sum(bool(losses(told, look(server, told.talk))) for told in every[:-1])
                counts[-1] += later
        finally:
            server.kill()
    record.take("killed", counts, compared(every, seed))


def compared(every: Sequence[Told], seed: int) -> str:
    """How much there was to lose; raises `RuntimeError` where no reply was being written."""
    cut = [pieces for told in every for pieces in told.cut]
    if not cut:
        raise RuntimeError("No kill met a reply that was being written: nothing was compared.")
    return (
        f"{sum(len(told.sent) for told in every)} messages were accepted, "
        f"{sum(len(told.finished) for told in every)} replies had ended and {len(cut)} were being "
        f"written, with {sum(map(len, cut))} pieces that a page had been told (seed {seed}); "
        "all looked at again after the last kill"
    )


def look(server: Server, talk: str) -> Found:
    """A whole conversation, as a page reads it."""
    where = f"/studio/api/conversations/{talk}"
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        shown = client.get(where).raise_for_status().json()
        ids = [node["id"] for node in shown["nodes"]]
        messages = []
        for start in range(0, len(ids), AT_ONCE):
            part = {"ids": ids[start : start + AT_ONCE]}
            messages += client.post(f"{where}/read", json=part).raise_for_status().json()["data"]
    return Found(messages, shown["queue"])


def _talk_until_killed(server: Server, random: Random, *, is_long: bool) -> Told:
    told = Told()
    after = 3 + random.random() if is_long else 0.2 + 3 * random.random()
    whens = ("queue",) if is_long else ("queue",) * 8 + ("now", "steer")
    where = f"/studio/api/conversations/{told.talk}/messages"
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        client.post("/studio/api/conversations", json={"id": told.talk}).raise_for_status()
        listening = threading.Thread(target=_listen, args=(server.url, told), daemon=True)
        listening.start()
        timer = threading.Timer(after, server.process.kill)
        timer.start()
        with suppress(httpx.HTTPError):
            while True:
                id_, number = new_id(), len(told.sent)
                short = f"{random.randint(1, 150)} tokens, 200 a second"
                text = f"question {number}: {LONG if is_long and number == 0 else short}"
                body = {"id": id_, "text": text, "when": random.choice(whens)}
                answer = client.post(where, json=body)
                if answer.is_success:
                    told.sent[id_] = text
                time.sleep(random.random() * 0.3)
    timer.join()
    listening.join(PATIENCE)
    return told


def _listen(url: str, told: Told) -> None:
    address = f"{url}/studio/api/events?conversation={told.talk}"
    name = ""
    with suppress(httpx.HTTPError), httpx.stream("GET", address, timeout=30) as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                _hear(told, name, json.loads(line.removeprefix("data: ")))


def _hear(told: Told, name: str, value: dict[str, Any]) -> None:
    if name == "message" and value["role"] == "assistant":
        if value["state"] in ("done", "stopped"):
            told.finished[value["id"]] = (value["state"], value["text"])
    elif name == "delta":
        told.words.setdefault(value["id"], []).append((value["at"], value["text"]))
