"""The whole road in one script: from text to a model that answers, and that others open."""

from __future__ import annotations

import argparse
import calendar
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import transformers

from kataribe.make.adapt.compare import compare_logits
from kataribe.make.model.attention import CausalAttend
from kataribe.make.model.checkpoint import open_checkpoint
from kataribe.make.model.loading import load_model
from kataribe.make.tokens import load_tokenizer
from tests.make.llama_logits import LlamaModel

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "recipes" / "laptop.sh"


def take(home: Path, **given: str) -> subprocess.CompletedProcess[str]:
    program = {"KATARIBE": f"{sys.executable} -m kataribe", "NAME": "laptop"}
    environment = {**os.environ, "KATARIBE_HOME": str(home), **program, **given}
    command = ["sh", str(SCRIPT)]
    return subprocess.run(
        command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A little code and a little Japanese."""
    folder = tmp_path_factory.mktemp("sources")
    for module in (argparse, calendar, shutil, textwrap):
        shutil.copy(module.__file__, folder)
    return f"{folder} {ROOT / 'README.ja.md'}"


def test_it_is_short_and_sound_shell() -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 80
    assert SCRIPT.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    assert os.access(SCRIPT, os.X_OK)
    assert subprocess.run(["sh", "-n", str(SCRIPT)], check=False).returncode == 0


def test_an_unknown_size_is_refused(tmp_path: Path) -> None:
    done = take(tmp_path, RECIPE="huge")
    assert done.returncode == 2
    assert "RECIPE is huge; it must be tiny, five or full." in done.stderr


@pytest.mark.timeout(1800)
def test_the_tiny_form_takes_every_step(tmp_path: Path, sources: str) -> None:
    done = take(tmp_path, RECIPE="tiny", SOURCES=sources)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "difference\t" in done.stdout
    card = json.loads((tmp_path / "corpora" / "laptop" / "card.json").read_text(encoding="utf-8"))
    assert {"code", "ja"} <= {
        *card["splits"]["train"]["languages"],
        *card["splits"]["valid"]["languages"],
    }

    folder, file = tmp_path / "models" / "laptop", tmp_path / "laptop.q8_0.gguf"
    tokenizer = load_tokenizer(folder)
    ids = tokenizer.encode("def recite(tale): 語り部は聞いたことを語り")
    checkpoint = open_checkpoint(folder)
    model = load_model(checkpoint)
    with torch.inference_mode():
        places = torch.arange(len(ids))[None]
        ours = model.logits(model(torch.tensor([ids]), places, CausalAttend(model.config)))[0]
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        assert (theirs(torch.tensor([ids])).logits[0] - ours).abs().max() < 1e-4 * ours.std()
    assert transformers.AutoTokenizer.from_pretrained(folder)(
        "def recite(tale): 語り部は聞いたことを語り", add_special_tokens=False
    )["input_ids"] == tokenizer.encode("def recite(tale): 語り部は聞いたことを語り", add_bos=False)
    llama = LlamaModel(file)
    assert compare_logits(ours, torch.tensor(llama.logits(ids))).divergence < 0.01
    assert llama.chat_template == tokenizer.chat_template.source
    assert llama.ends(tokenizer.special_id("<|im_end|>"))
    llama.close()

    again = take(tmp_path, RECIPE="tiny", SOURCES=sources, KATARIBE="true")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("is there already") == 6


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_form_of_five_minutes_learns_to_answer(tmp_path: Path) -> None:
    done = take(tmp_path, RECIPE="five", SOURCES=f"stdlib {ROOT / 'README.ja.md'}")
    assert done.returncode == 0, done.stderr[-3000:]
    command = [
        *(sys.executable, "-m", "kataribe", "eval", "laptop", "--base", "laptop-base", "--local"),
        *("--on", "laptop-questions", "--most", "100", "--max-tokens", "64", "--json"),
    ]
    environment = {**os.environ, "KATARIBE_HOME": str(tmp_path)}
    found = subprocess.run(command, env=environment, capture_output=True, check=True)
    told = json.loads(found.stdout)
    print(told["models"], told["difference"])
    assert told["difference"]["chrf"]["low"] > 0
    assert told["models"][1]["ended_by_itself"] > 0.5
