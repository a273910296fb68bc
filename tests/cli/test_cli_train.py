"""`kataribe train` and `kataribe runs`: from text to a model that others open."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kataribe.base.workspace import Workspace
from kataribe.cli.runs.show import sparkline
from kataribe.make.tokens.kinds import TokenizerPlan
from kataribe.make.tokens.train import save_tokenizer, train_tokenizer
from kataribe.make.training.runs import find_run, list_runs

TEXT = "".join(f"def add_{n}(a, b):\n    return a + b + {n}\n\n" for n in range(150))
SMALL = (
    "--width", "64", "--layers", "1", "--context", "32", "--batch-tokens", "128",
    "--threads", "1", "--precision", "float32", "--compile", "off",
)  # fmt: skip


@pytest.fixture
def text(tmp_path: Path) -> Workspace:
    """A workspace with a corpus and a tokenizer."""
    workspace = Workspace.locate()
    corpus = workspace.corpora / "adding"
    corpus.mkdir(parents=True)
    for split, some in (("train", TEXT), ("valid", TEXT[:1500].replace("add", "sum"))):
        row = {"id": split, "text": some, "source": "here", "language": "python"}
        (corpus / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    inner, training = train_tokenizer([TEXT], TokenizerPlan("bpe", 300))
    save_tokenizer(workspace.tokenizers / "small", inner, training)
    return workspace


def test_from_text_to_a_model_that_chats(cli, text, tmp_path):
    done = cli("train", "pretrain", "adding", "--tokenizer", "small", "--steps", "6", *SMALL,
               "--context", "64", "--name", "base", "--json")  # fmt: skip
    assert done.code == 0, done.err
    assert "Expected:" in done.err
    assert "bits per byte (from" in done.err
    said = json.loads(done.out)
    run = find_run(text.runs, said["run"])
    assert run.info.state == "done"
    assert run.plan["prediction"]["tokens"] == said["tokens"] == 6 * 128
    assert run.plan["prediction"]["parameters"] == said["parameters"]
    assert said["bits_per_byte"] == pytest.approx(list(run.metrics())[-1]["bits_per_byte"])
    assert {sample["step"] for sample in run.samples()} >= {6}
    assert list((run.path / "tensorboard").iterdir())

    chats = tmp_path / "chats.jsonl"
    turns = [
        {"role": "user", "content": "What is 1 + 1?"}, {"role": "assistant", "content": "It is 2."}
    ]  # fmt: skip
    chats.write_text((json.dumps({"messages": turns}) + "\n") * 40)
    done = cli("train", "instruct", str(chats), "--base", "base", "--name", "chatty", "--threads",
               "1", "--batch-tokens", "128", "--epochs", "40", "--learning-rate", "0.01",
               "--precision", "float32", "--too-long", "cut")  # fmt: skip
    assert done.code == 0, done.err
    assert "The model is here: chatty. Use it: kataribe ask -m chatty" in done.out
    folder = text.models / "chatty"
    card = json.loads((folder / "card.json").read_text())
    assert (card["kind"], card["family"], card["source"][:4]) == ("chat", "qwen3", "run:")
    assert "pipeline_tag: text-generation" in (folder / "README.md").read_text()

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_tensors="pt")
    ids = ids if isinstance(ids, torch.Tensor) else ids["input_ids"]
    reply = model.generate(ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1] :]
    assert int(reply[-1]) in model.generation_config.eos_token_id  # it learned to stop
    assert "2" in tokenizer.decode(reply)
    a_student_learns_its_answers(cli, text, tmp_path)


def a_student_learns_its_answers(cli, text: Workspace, tmp_path: Path) -> None:
    """Of the teacher that was just made: its text is all that the student sees."""
    asked = tmp_path / "asked.jsonl"
    asked.write_text('{"prompt": "What is 1 + 1?"}\n{"prompt": "1 + 1?"}\n')
    distill = ("train", "distill-text", str(asked), "--teacher", "chatty", "--temperature", "0",
               "--max-tokens", "16", "--held-out", "0", "--data", "said")  # fmt: skip
    tune = ("--base", "base", "--name", "student", "--threads", "1", "--batch-tokens", "64",
            "--steps", "40", "--learning-rate", "0.01", "--precision", "float32",
            "--trackers", "none")  # fmt: skip
    assert cli(*distill, "--base", "nobody").code == 2  # before the teacher is asked
    assert not (text.corpora / "said").exists()
    done = cli(*distill, *tune)
    assert done.code == 0, done.err
    assert "chatty gave 2 answers; said has 2 of them to learn from" in done.err
    lines = (text.corpora / "said" / "train.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    answers = [row["messages"][-1]["content"] for row in rows]
    assert answers[0] == "It is 2."
    assert find_run(text.runs, "student").plan["data"]["chats"] == str(text.corpora / "said")
    said = cli("ask", "-m", "student", "-t", "0", "What is 1 + 1?")
    assert said.out.strip() == "It is 2."


def test_runs_are_listed_shown_and_compared(cli, text):
    for name, seed in (("one", "1"), ("two", "2")):
        done = cli("train", "pretrain", "adding", "--tokenizer", "small", "--steps", "3", *SMALL,
                   "--name", name, "--seed", seed, "--sample-every", "0")  # fmt: skip
        assert done.code == 0, done.err
    rows = [line.split("\t") for line in cli("runs", "list").out.splitlines()]
    assert [(row[1], row[2], row[3]) for row in rows] == [("pretrain", "done", "3/3")] * 2
    shown = cli("runs", "show", "one").out
    assert "Expected:" in shown
    assert "grad_norm" in shown
    known = json.loads(cli("runs", "show", "one", "--json").out)
    assert len(known["metrics"]) == 3
    done = cli("runs", "compare", "one", "two")
    assert "loop.seed: 1 | 2" in done.out
    compared = json.loads(cli("runs", "compare", "one", "two", "--json").out)
    assert list(compared["differing"]) == ["loop.seed"]
    assert cli("runs", "compare", "one").code == 2
    assert cli("runs", "show", "nobody").code == 3
    assert "is done" in cli("runs", "stop", "one").err
    assert "is done; start a new one" in cli("runs", "resume", "one").err
    broken = list_runs(text.runs)[0]
    (broken.path / "run.json").write_text("{}")
    assert "broken: " in cli("runs", "list").out


def test_a_stopped_run_goes_on_with_its_own_settings_only(cli, text, monkeypatch):
    from kataribe.make.training import stopping

    monkeypatch.setattr(stopping.Stop, "__call__", _after_two)
    asked = ("train", "pretrain", "adding", "--tokenizer", "small", "--steps", "6", *SMALL)
    done = cli(*asked, "--name", "later")
    assert done.code == 0
    assert "Go on with: kataribe runs resume" in done.out
    monkeypatch.undo()
    run = find_run(text.runs, "later")
    assert run.checkpoints()[-1][0] == 2
    done = cli("train", "pretrain", "--resume", run.id, "--learning-rate", "0.5", "--layers", "1")
    assert done.code == 2
    assert "learning_rate: None -> 0.5" in done.err
    assert "layers" not in done.err
    done = cli("train", "pretrain", "--resume", run.id, "--layers", "1")
    assert done.code == 0, done.err
    assert find_run(text.runs, "later").info.model == "later"


def _after_two(self) -> bool:
    self.seen = getattr(self, "seen", 0) + 1
    self.why = "somebody" if self.seen >= 2 else ""
    return bool(self.why)


def test_what_cannot_be_trained_is_said_before(cli, text, tmp_path):
    def refused(*words: str) -> str:
        done = cli("train", *words)
        assert done.code == 2, done.err
        return done.err

    asked = ("pretrain", "adding", "--tokenizer", "small")
    assert "--size 10M" in refused(*asked)
    assert "no tokenizer 'none'" in refused("pretrain", "adding", "--tokenizer", "none", *SMALL)
    assert "no corpus 'none'" in refused("pretrain", "none", "--tokenizer", "small", *SMALL)
    assert "'lion'; it can be muon or adamw" in refused(*asked, *SMALL, "--optimiser", "lion")
    assert "but one batch takes 1,000,000" in refused(
        *asked, *SMALL[:4], "--context", "100", "--batch-tokens", "1000000"
    )
    assert "cannot be a model's name" in refused(*asked, *SMALL, "--name", "a/b")
    done = cli("train", *asked, *SMALL, "--steps", "2", "--name", "taken", "--sample-every", "0")
    assert done.code == 0, done.err
    assert "There is a model taken already" in refused(*asked, *SMALL, "--name", "taken")

    dice = random.Random(1)
    many = " ".join("".join(dice.choices("abcdefghij", k=6)) for _ in range(3000))
    inner, training = train_tokenizer([many], TokenizerPlan("bpe", 500))
    save_tokenizer(text.tokenizers / "larger", inner, training)
    said = refused("pretrain", "adding", "--tokenizer", "larger", "--base", "taken", *SMALL[4:])
    size = inner.get_vocab_size()
    assert f"{size} tokens, but the model's embedding only 320 rows" in said
    inner, training = train_tokenizer([many], TokenizerPlan("bpe", 290))
    save_tokenizer(text.tokenizers / "other", inner, training)
    said = refused("pretrain", "adding", "--tokenizer", "other", "--base", "taken", *SMALL[4:])
    assert "(290 tokens) is not the one that taken was made with" in said


def test_curves_are_drawn() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert len(sparkline([float(n) for n in range(1000)], 50)) == 50
