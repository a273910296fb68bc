"""The rounds: every program does every task in turn, so that a disturbance meets all alike."""

from __future__ import annotations

from typing import Any

from benchmarks.inference.peers import Worker
from benchmarks.inference.programs import OURS, PEERS
from benchmarks.inference.record import Record

Lines = dict[str, tuple[str, dict[str, Any]]]
"""Line of the report -> task and its values."""

SINGLE: Lines = {
    "prefill of 512 tokens": ("prefill", {"tokens": 512}),
    "one stream at 128 tokens": ("decode", {"tokens": 128, "new": 48}),
    "one stream at 1,024 tokens": ("decode", {"tokens": 1024, "new": 48}),
}
STREAMS: Lines = {
    "16 streams, 128 + 64 tokens each": ("streams", {"tokens": 128, "new": 64, "count": 16})
}
TRIALS = 2
"""Of these the better one counts: the first pays for what a program does only once."""


def choose(tried: dict[str, list[float]]) -> list[str]:
    """Kataribe, and of each column's programs the fastest, in the order of `tried`."""
    best = {OURS}
    for prefix in PEERS.values():
        best.add(
            max((name for name in tried if name.startswith(prefix)), key=lambda n: max(tried[n]))
        )
    return [name for name in tried if name in best]


def run(part: str, workers: dict[str, Worker], lines: Lines, rounds: int, record: Record) -> None:
    """A round that is thrown away chooses the settings; `rounds` more of these give the figures."""
    for worker_name, worker in workers.items():
        record.data["versions"][worker_name.split()[0]] = worker.ready["version"]
    pids = [worker.process.pid for worker in workers.values()]
    with record.round(f"{part}, trials", pids):
        for line, (task, values) in lines.items():
            for count in range(TRIALS):
                for name, worker in workers.items():
                    rate = worker.ask(task, salt=1000 + count, **values)["rate"]
                    record.rate("trials", line, name, rate)
    chosen = {line: choose(record.data["trials"][line]) for line in lines}
    for name in list(workers):
        if not any(name in names for names in chosen.values()):
            workers.pop(name).stop()
    for count in range(rounds):
        with record.round(f"{part} {count + 1}", [one.process.pid for one in workers.values()]):
            for line, (task, values) in lines.items():
                first = count % len(chosen[line])
                for name in chosen[line][first:] + chosen[line][:first]:
                    rate = workers[name].ask(task, salt=7 * count + 3, **values)["rate"]
                    record.rate("figures", line, name, rate)
