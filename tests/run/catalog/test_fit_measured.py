"""Predicted peaks of memory against processes that really load a model and fill its cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kataribe
from kataribe.run.catalog.facts import read_facts
from kataribe.run.catalog.memory import predict_memory

pytestmark = pytest.mark.slow

# A process with the server's imports; the peak is the kernel's own count (Linux).
PROGRAM = """
import asyncio, json, random, sys
from pathlib import Path
import torch, uvicorn
import kataribe.serve.app
from kataribe.base.lm import Request, Sampling, reply
from kataribe.run.inference.load import LoadOptions, load_local

path, ctx, precision = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
model = load_local("x", path, LoadOptions(ctx, ctx, precision=precision, threads=2))
dice = random.Random(0)
ids = tuple(dice.randrange(300, 20_000) for _ in range(ctx - 16))
sampling = Sampling(max_tokens=8, temperature=0.0, ignore_eos=True)
done = asyncio.run(reply(model.lm, Request(ids, sampling)))
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
model.close(1)
print(json.dumps({"peak": peak * 1024, "tokens": done.usage.completion_tokens}))
"""


def off_by(path: Path, ctx: int, precision: str) -> float:
    """Predicted / measured - 1."""
    environment = {**os.environ, "PYTHONPATH": str(Path(kataribe.__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, str(path), str(ctx), precision]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    measured = json.loads(output.splitlines()[-1])
    assert measured["tokens"] == 8
    predicted = predict_memory(read_facts(path), precision, ctx).total
    print(f"{precision} {ctx}: predicted {predicted >> 20} MiB of {measured['peak'] >> 20}")
    return predicted / measured["peak"] - 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
class TestPeaks:
    @pytest.mark.parametrize(("ctx", "precision"), [(512, "auto"), (4096, "auto")])
    def test_smollm2(self, smollm2_path: Path, ctx: int, precision: str) -> None:
        assert abs(off_by(smollm2_path, ctx, precision)) < 0.1

    def test_gemma(self, gemma_path: Path) -> None:
        assert abs(off_by(gemma_path, 1024, "auto")) < 0.1

    @pytest.mark.timeout(900)
    def test_qwen(self, qwen_path: Path) -> None:
        assert abs(off_by(qwen_path, 1024, "auto")) < 0.1
