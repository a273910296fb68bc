"""Predicted peaks of memory against processes that really load a model and fill its cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kataribe
from kataribe.run.catalog.calibration import calibration_for
from kataribe.run.catalog.facts import read_facts
from kataribe.run.catalog.memory import predict_memory
from kataribe.run.catalog.plan import model_budget, plan_model
from kataribe.run.inference.native.library import native_library

pytestmark = pytest.mark.slow

# A process with the server's imports; the peak is the kernel's own count (Linux).
PROGRAM = """
import asyncio, json, random, sys
from pathlib import Path
import uvicorn
import kataribe.serve.app
from kataribe.base.lm import Request, Sampling, reply
from kataribe.run.catalog.machine import peak_memory
from kataribe.run.inference.load import LoadOptions, load_local

path, precision = Path(sys.argv[1]), sys.argv[2]
ctx, places, fills = map(int, sys.argv[3:])
model = load_local("x", path, LoadOptions(ctx, places, precision=precision, threads=2))
dice = random.Random(0)
sampling = Sampling(max_tokens=8, temperature=0.0, ignore_eos=True)
for _ in range(fills):
    ids = tuple(dice.randrange(300, 20_000) for _ in range(ctx - 16))
    done = asyncio.run(reply(model.lm, Request(ids, sampling)))
peak = peak_memory()
model.close(1)
print(json.dumps({"peak": peak, "tokens": done.usage.completion_tokens}))
"""

ENCODER = """
import asyncio, json, sys
from pathlib import Path
import uvicorn
import kataribe.serve.app
from kataribe.run.catalog.machine import peak_memory
from kataribe.run.inference.embedding.load import load_local_encoder

model = load_local_encoder("x", Path(sys.argv[1]), precision=sys.argv[2], threads=2)
asyncio.run(model.embedder.embed(["word " * 500] * 8))
print(json.dumps({"peak": peak_memory()}))
"""


def off_by(path: Path, ctx: int, precision: str = "auto", fills: int = 1) -> float:
    """Predicted / measured - 1, with the plan that a server makes."""
    facts = read_facts(path)
    native = native_library() is not None
    plan = plan_model(facts, precision, ctx, model_budget(None), native=native)
    sizes = map(str, (plan.context, plan.cache_tokens, fills))
    measured = measure(PROGRAM, path, precision, *sizes)
    assert measured["tokens"] == 8
    predicted = predict_memory(
        facts,
        precision,
        ctx,
        cache_tokens=fills * ctx,
        places=plan.cache_tokens,
        calibration=calibration_for(facts, precision, native=native),
    ).total
    if fills == 1:
        assert predicted == plan.one.total  # what `fit` says
    off = predicted / measured["peak"] - 1
    print(
        f"{path.name} {precision} {ctx} x {fills} of {plan.cache_tokens}: predicted "
        f"{predicted >> 20} MiB, measured {measured['peak'] >> 20} ({off:+.1%})"
    )
    return off


def measure(program: str, path: Path, *arguments: str) -> dict[str, int]:
    """What a process of its own prints at its end."""
    environment = {**os.environ, "PYTHONPATH": str(Path(kataribe.__file__).parents[1])}
    command = [sys.executable, "-c", program, str(path), *arguments]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    measured: dict[str, int] = json.loads(output.splitlines()[-1])
    return measured


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.timeout(900)
class TestPeaks:
    @pytest.mark.parametrize(("ctx", "fills"), [(512, 1), (4096, 1), (1024, 4)])
    def test_smollm2(self, smollm2_path: Path, ctx: int, fills: int) -> None:
        assert abs(off_by(smollm2_path, ctx, fills=fills)) < 0.1

    @pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8", "int4"])
    def test_smollm2_in_every_precision(self, smollm2_path: Path, precision: str) -> None:
        assert abs(off_by(smollm2_path, 512, precision)) < 0.1

    @pytest.mark.parametrize("ctx", [1024, 4096])
    def test_gemma(self, gemma_path: Path, ctx: int) -> None:
        assert abs(off_by(gemma_path, ctx)) < 0.1

    @pytest.mark.parametrize("ctx", [512, 1024])
    def test_qwen(self, qwen_path: Path, ctx: int) -> None:
        assert abs(off_by(qwen_path, ctx)) < 0.1

    @pytest.mark.parametrize("precision", ["float32", "auto"])
    def test_e5_small(self, e5_path: Path, precision: str) -> None:
        plan = plan_model(read_facts(e5_path), precision, None, model_budget(None))
        peak = measure(ENCODER, e5_path, precision)["peak"]
        print(f"predicted {plan.one.total >> 20} MiB, measured {peak >> 20}")
        assert abs(plan.one.total / peak - 1) < 0.1
