"""The whole road in one script: from text to a model that answers, and that others open."""

from __future__ import annotations

import argparse
import calendar
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import transformers

from kataribe.make.adapt.compare import compare_logits
from kataribe.make.model.layers.attention import CausalAttend
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
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


@pytest.fixture(scope="module")
def manuals(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Manual pages in Japanese."""
    folder = tmp_path_factory.mktemp("manuals")
    for number, tale in enumerate("桃亀鶴月雪鬼狐狸猿蟹竹花"):
        page = (
            f".TH TALE{number} 1\n.SH 名前\ntale{number} \\- {tale}の物語を語る\n"
            f".SH オプション\n.TP\n-{chr(97 + number)}\n{tale}の出てくるところから語る。\n"
            f".TP\n--end={tale}\n{tale}が去ったら終わる。\n"
        )
        (folder / f"tale{number}.1").write_text(page, encoding="utf-8")
    return str(folder)


KILLER = """
import os, signal, subprocess, sys
program = [sys.executable, "-m", "kataribe", *sys.argv[1:]]
process = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)
for line in process.stderr:
    sys.stderr.write(line)
    if line.startswith("Run "):
        process.send_signal(signal.SIGKILL)
sys.exit(process.wait() and 137)
"""
"""Is Kataribe, but a training of it is killed when it has begun."""


def written(home: Path) -> dict[str, tuple[int, int]]:
    """Everything that steps make, with when it was written and how large it is.

    Not `runs.json`, to which a model's every start in a server is added.
    """
    made = [
        home / "corpora",
        home / "tokenizers",
        home / "datasets",
        home / "models",
        home / "runs",
    ]
    files = [each for folder in made for each in folder.rglob("*") if each.is_file()]
    files = [each for each in files if each.name != "runs.json"]
    files += [*home.glob("*.gguf"), *home.glob("*-eval.txt")]
    return {
        str(each.relative_to(home)): (each.stat().st_mtime_ns, each.stat().st_size)
        for each in files
    }


def steps_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The commands that a recipe says it gave, by their first words."""
    return re.findall(r"^== kataribe ([a-z]+(?: [a-z]+)?)", done.stderr, re.MULTILINE)


def test_it_is_short_and_sound_shell() -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 80
    assert SCRIPT.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    assert os.access(SCRIPT, os.X_OK)
    assert subprocess.run(["sh", "-n", str(SCRIPT)], check=False).returncode == 0
    if checker := shutil.which("shellcheck"):
        found = subprocess.run([checker, SCRIPT], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout


def test_an_unknown_size_is_refused(tmp_path: Path) -> None:
    done = take(tmp_path, RECIPE="huge")
    assert done.returncode == 2
    assert "RECIPE is huge; it must be tiny, five or full." in done.stderr


TUNED = ("corpus instructions", "train instruct", "eval laptop", "export laptop", "up")


@pytest.mark.timeout(1800)
def test_the_tiny_form_takes_every_step(tmp_path: Path, sources: str, manuals: str) -> None:
    done = take(tmp_path, RECIPE="tiny", SOURCES=sources, MANUALS=manuals)
    assert done.returncode == 0, done.stderr[-3000:]
    assert steps_of(done) == ["corpus make", "tokenizer train", "train pretrain", *TUNED]
    assert "difference\t" in done.stdout
    card = json.loads((tmp_path / "corpora" / "laptop" / "card.json").read_text(encoding="utf-8"))
    assert {"code", "ja"} <= {
        *card["splits"]["train"]["languages"],
        *card["splits"]["valid"]["languages"],
    }

    card = json.loads((tmp_path / "corpora/laptop-questions/card.json").read_text("utf-8"))
    assert {"does", "ja_count", "ja_does"} <= card["splits"]["train"]["kinds"].keys()
    opens_elsewhere(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_was_killed_goes_on_and_what_is_there_stays(
    tmp_path: Path, sources: str, manuals: str
) -> None:
    given = {"RECIPE": "tiny", "SOURCES": sources, "MANUALS": manuals}
    killer = tmp_path / "killer.py"
    killer.write_text(KILLER, encoding="utf-8")
    killed = take(tmp_path, KATARIBE=f"{sys.executable} {killer}", **given)
    assert killed.returncode == 137, killed.stderr[-3000:]
    assert steps_of(killed) == ["corpus make", "tokenizer train", "train pretrain"]

    done = take(tmp_path, **given)
    assert done.returncode == 0, done.stderr[-3000:]
    assert steps_of(done) == ["runs resume", *TUNED]
    assert done.stderr.count("is there already") == 2
    assert len(list((tmp_path / "runs").iterdir())) == 2  # the one that was killed went on

    before = written(tmp_path)
    assert {"laptop-eval.txt", "laptop.q8_0.gguf", "models/laptop/config.json"} <= before.keys()
    again = take(tmp_path, **given)
    assert again.returncode == 0, again.stderr[-3000:]
    assert steps_of(again) == ["up"]
    assert again.stderr.count("is there already") == 7
    assert written(tmp_path) == before
    assert "difference\t" in again.stdout  # what it measured then


def opens_elsewhere(home: Path) -> None:
    """The model is the same to `transformers` and to llama.cpp."""
    folder, file = home / "models" / "laptop", home / "laptop.q8_0.gguf"
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


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_form_of_five_minutes_learns_to_answer(tmp_path: Path, manuals: str) -> None:
    done = take(
        tmp_path,
        RECIPE="five",
        SOURCES=f"stdlib {ROOT / 'README.ja.md'} {manuals}",
        MANUALS=manuals,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    opens_elsewhere(tmp_path)
    command = [
        *(sys.executable, "-m", "kataribe", "eval", "laptop", "--base", "laptop-base", "--local"),
        *("--on", "laptop-questions", "--most", "200", "--max-tokens", "96", "--json"),
    ]
    environment = {**os.environ, "KATARIBE_HOME": str(tmp_path)}
    found = subprocess.run(command, env=environment, capture_output=True, check=True)
    told = json.loads(found.stdout)
    print(told["models"], told["difference"])
    assert told["difference"]["chrf"]["low"] > 0
    assert told["difference"]["token_f1"]["low"] > 0
    assert told["models"][1]["ended_by_itself"] >= 0.9
