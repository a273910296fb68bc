"""The benchmark's own arithmetic and bookkeeping, with programs whose speed is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from benchmarks.inference import report, rounds
from benchmarks.inference.machine import Watch
from benchmarks.inference.record import Record

LINE = "prefill of 512 tokens"
LINES = {LINE: rounds.SINGLE[LINE]}


class Program:
    """Answers with the next of the given rates; then it breaks."""

    def __init__(self, *rates):
        self.rates, self.stopped = list(rates), False
        self.ready = {"version": "1"}
        self.process = SimpleNamespace(pid=os.getpid())

    def ask(self, _task, **_values):
        if not self.rates:
            raise RuntimeError("cut off")
        return {"rate": self.rates.pop(0)}

    def stop(self):
        self.stopped = True


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "inference.md", report.text, {"rounds": 2})


def programs():
    return {
        "kataribe": Program(1, 90, 100, 120),
        "llama.cpp shipped, flash": Program(1, 50, 40, 40),
        "llama.cpp shipped, no flash": Program(45, 30),
        "llama.cpp q4_0, flash": Program(20, 80, 100, 100),
        "transformers": Program(10, 10, 10, 10),
    }


def test_the_best_settings_go_on_and_the_others_stop(record):
    workers = programs()
    slow = workers["llama.cpp shipped, no flash"]
    rounds.run("single", workers, LINES, 2, record)
    assert slow.stopped
    assert "llama.cpp shipped, no flash" not in workers
    assert record.data["figures"][LINE] == {
        "kataribe": [100, 120],
        "llama.cpp shipped, flash": [40, 40],
        "llama.cpp q4_0, flash": [100, 100],
        "transformers": [10, 10],
    }
    row = next(row for row in report.table(record.data["figures"]).splitlines() if LINE in row)
    assert "ratio 2.75 (2.50 to 3.00), wanted at least 2.5: reached" in row
    assert "ratio 1.10 (1.00 to 1.20), wanted at least 1.2: **missed**" in row


def test_a_run_that_is_cut_off_leaves_what_it_measured(record):
    workers = programs()
    workers["transformers"].rates.pop()
    with pytest.raises(RuntimeError, match="cut off"):
        rounds.run("single", workers, LINES, 2, record)
    kept = json.loads(record.target.with_suffix(".json").read_text())
    assert kept["figures"][LINE]["transformers"] == [10]
    assert kept["figures"][LINE]["kataribe"][0] == 100
    assert "2.50 (once)" in record.target.read_text()


def test_others_work_is_said_above_the_figures(record):
    with record.round("cold"):
        record.run("ask", 2.5)
    record.data["rounds"] = [{"part": "cold", "load_before": 0.1, "others": 0.02}]
    quiet = report.text(record.data)
    assert "WARNING" not in quiet
    assert "2.50 s (once), wanted at most 3: reached" in quiet
    record.data["rounds"].append({"part": "cold", "load_before": 2.0, "others": 0.9})
    assert "WARNING: others computed on this machine in 1 of 2 rounds" in report.text(record.data)


def test_a_program_of_ours_does_not_count_as_others():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        without, beside = Watch([]), Watch([busy.pid])
        time.sleep(0.5)
        counted, left_out = without.others(), beside.others()
        busy.kill()
    assert counted > left_out


def test_gaps_and_memory_are_reported_with_their_counts():
    runs = {
        "fairness": [
            {
                "jain": 0.99,
                "p99": 0.3,
                "worst": 0.4,
                "gaps": 6400,
                "fewest": 90,
                "read_seconds": 9.0,
            }
        ],
        "memory": [
            {"program": "kataribe", "worked": 120e6},
            {"program": "llama.cpp, flash", "worked": 100e6},
        ],
    }
    gaps = report.engine_lines(runs)[1]
    assert "wanted at most 0.25: **missed**" in gaps
    assert "6400 (once) gaps counted, at least 90 of every stream" in gaps
    assert (
        "ratio to the smallest 1.20, wanted at most 1.3: reached" in report.process_lines(runs)[0]
    )
