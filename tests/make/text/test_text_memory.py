"""Memory does not grow with the text: measured in processes of their own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import pytest
from prose import english, japanese

# Not `ru_maxrss`: a child begins with the peak of the process that started it.
CHILD = """
import re, sys
from pathlib import Path
from kataribe.make.text import CorpusChoices, make_corpus
corpus = make_corpus(CorpusChoices(sources=(sys.argv[1],)), Path(sys.argv[2]))
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
print(sum(each["text_bytes"] for each in corpus.card["splits"].values()))
"""


def write_texts(path, megabytes):
    """JSON lines of so many MB, no two texts alike: a few made ones, their lines shuffled."""
    import random

    rng = random.Random(11)
    lines = [line for i in range(300) for line in english(i).splitlines()]
    lines += [line for i in range(300) for line in japanese(i).splitlines()]
    written = number = 0
    with path.open("w", encoding="utf-8") as file:
        while written < megabytes * 1_000_000:
            number += 1
            text = "\n".join([f"Text {number}.", *rng.sample(lines, 600)])
            written += file.write(json.dumps({"text": text}) + "\n")


def peak(tmp_path, megabytes, limit_bytes=None):
    """Peak resident memory of a make, in MiB, and the bytes of text that it kept."""
    path = tmp_path / f"{megabytes}.jsonl"
    write_texts(path, megabytes)

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))

    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(tmp_path / f"made{megabytes}")],
        capture_output=True,
        text=True,
        preexec_fn=limit if limit_bytes else None,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1",
           "RAYON_NUM_THREADS": "1"},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    memory, kept = map(int, done.stdout.split())
    path.unlink()
    return memory, kept


def test_six_times_the_text_takes_no_more_memory(tmp_path):
    small, _ = peak(tmp_path, 10)
    large, kept = peak(tmp_path, 60)
    assert kept > 30_000_000  # JSON escapes make the file larger than its text
    assert large < small + 20, f"10 MB took {small} MiB, 60 MB took {large} MiB"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hundreds_of_megabytes_within_a_limit(tmp_path):
    """600 MB of JSON with an address space of 500 MiB: the process dies when it takes more."""
    memory, kept = peak(tmp_path, 600, limit_bytes=500 << 20)
    assert kept > 300_000_000
    assert memory < 250
