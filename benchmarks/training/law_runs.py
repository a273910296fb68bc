"""Small runs for the law of `make.training.scaling`: trains each, and keeps what came as a line.

    python benchmarks/training/law_runs.py WORKSPACE benchmarks/training/law_runs.jsonl

WORKSPACE holds the corpora and tokenizers that `RUNS` names; its last letters say how many thousand
pieces a tokenizer has. They are made with

    kataribe corpus make code stdlib
    kataribe corpus make ja ja.jsonl --megabytes 24
    kataribe corpus make man man.jsonl --megabytes 12
    kataribe corpus make math math.jsonl
    kataribe tokenizer train code8k code --size 8192

(and so on: code2k 2,048 pieces, ja8k 8,192, man4k 4,096, math1k 1,024), where each line of a file
is `{"text": ...}`:

- `code` is Python 3.11's library, 9.6 MB of it to learn from;
- `ja.jsonl`: every fifth work of Aozora Bunko's 4,697, from the first on (23.3 MB);
- `man.jsonl`: the roff sources of Debian 12's manual pages, sections 1, 5, 7 and 8, in an order
  drawn with `random.Random(0)` from their sorted paths, those of 500 characters or more, each up to
  60,000, until 12 million characters are there or all pages (8.6 MB);
- `math.jsonl`: GSM8K's training questions, each with its answer in the next line (3.7 MB).

Other releases of Python and Debian have other texts, and their runs would give other lines.
Every line of law_runs.jsonl is of one of these runs, and every run has its line: those that are
there already are not made again. Bits per byte hang on steps and tokens alone, so this may run on a
busy machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from kataribe.base.workspace import Workspace
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.model.families import config_to_hf
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.token_writer import make_token_data
from kataribe.make.training.checkpoints import Progress
from kataribe.make.training.dial import Given, choose, shape
from kataribe.make.training.loop import Training, train
from kataribe.make.training.machine import settle
from kataribe.make.training.optimisers import Optimisers
from kataribe.make.training.overrides import loop_config
from kataribe.make.training.pretraining import build_pretraining, bytes_per_token
from kataribe.make.training.rows_objective import RowsObjective
from kataribe.make.training.session import micro_rows
from kataribe.make.training.text_level import Look, text_level
from kataribe.make.training.trainee import Trainee


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        corpus: A corpus of the workspace.
        tokenizer: A tokenizer of the workspace, trained on that corpus.
        width: Hidden size.
        layers: Blocks.
        tokens: To learn from.
        context: Tokens of a row.
        seed: Of weights and order.
    """

    corpus: str
    tokenizer: str
    width: int
    layers: int
    tokens: int
    context: int = 512
    seed: int = 0


RUNS = (
    Run("code", "code8k", 64, 2, 400_000),
    Run("ja", "ja8k", 64, 2, 500_000),
    Run("math", "math1k", 64, 2, 1_000_000),
    Run("code", "code2k", 128, 3, 300_000),
    Run("ja", "ja8k", 128, 3, 300_000),
    Run("ja", "ja8k", 128, 3, 1_000_000),
    Run("code", "code8k", 64, 2, 150_000),
    Run("math", "math1k", 64, 2, 200_000),
    Run("ja", "ja8k", 64, 2, 150_000),
    Run("code", "code8k", 192, 4, 400_000),
    Run("code", "code8k", 64, 2, 32_768),
    Run("ja", "ja8k", 64, 2, 32_768),
    Run("math", "math1k", 64, 2, 32_768),
    Run("code", "code2k", 64, 2, 32_768),
    Run("code", "code8k", 64, 2, 80_000),
    Run("ja", "ja8k", 64, 2, 80_000),
    Run("math", "math1k", 64, 2, 80_000),
    Run("code", "code2k", 64, 2, 80_000),
    Run("code", "code8k", 64, 2, 2_000_000),
    Run("ja", "ja8k", 64, 2, 3_000_000),
    Run("math", "math1k", 128, 3, 1_200_000),
    Run("code", "code2k", 128, 3, 2_000_000),
    Run("ja", "ja8k", 128, 3, 4_000_000),
    Run("pages", "pages4k", 64, 2, 32_768),
    Run("pages", "pages4k", 64, 2, 80_000),
    Run("pages", "pages4k", 64, 2, 300_000),
    Run("pages", "pages4k", 128, 3, 2_000_000),
    Run("jaman", "jaman8k", 64, 2, 32_768),
    Run("jaman", "jaman8k", 64, 2, 80_000),
    Run("jaman", "jaman8k", 64, 2, 300_000),
    Run("jaman", "jaman8k", 128, 3, 2_000_000),
    Run("math", "math1k", 192, 4, 1_000_000),
    Run("code", "code2k", 64, 2, 1_000_000),
    Run("pages", "pages4k", 64, 2, 1_000_000),
    Run("jaman", "jaman8k", 64, 2, 1_000_000),
    Run("code", "code8k", 192, 4, 2_000_000),
    Run("ja", "ja8k", 192, 4, 1_500_000),
    Run("pages", "pages4k", 192, 4, 1_500_000),
)


def made(workspace: Workspace, run: Run, threads: int) -> dict[str, Any]:
    """Trains one run with the dial's own choices, judged at its end; gives its line."""
    tokenizer = load_tokenizer(workspace.tokenizers / run.tokenizer)
    data = make_token_data(workspace.corpora / run.corpus, tokenizer, workspace.datasets)
    given = Given(-(-tokenizer.vocab_size // 64) * 64, run.context, run.layers, run.width)
    choice = choose(shape(given, run.width), run.tokens)
    rows = choice.batch_tokens // run.context
    quiet = {"eval_every": 0, "sample_every": 0, "checkpoint_every": 0, "threads": threads}
    loop = loop_config(choice, rows, run.seed, quiet)
    loop = dataclasses.replace(loop, work=settle(loop.work, None))
    setup = build_pretraining(
        {
            "data": {
                "dataset": str(data.path),
                "tokenizer": str(workspace.tokenizers / run.tokenizer),
                "context": run.context,
            },
            "loop": dataclasses.asdict(loop),
            "model": {"config": config_to_hf(choice.model), "base": None},
        }
    )
    assert isinstance(setup.objective, RowsObjective)
    setup.objective.ends_after(loop.steps)
    trainee = Trainee(setup.model, setup.objective.loss, loop.work)
    optimiser = Optimisers(trainee.named, loop.optimisation)
    record = Last()
    training = Training(trainee, setup.objective, optimiser, loop, record, lambda: False)
    progress = train(training, Progress(), micro_rows(setup))
    look = min(2000, 8 * loop.watching.eval_rows)
    level = text_level(data, bytes_per_token(data), progress.tokens, Look(look, run.context))
    return {
        **asdict(run),
        "parameters": parameter_count(choice.model),
        "vocab_size": choice.model.vocab_size,
        "steps": loop.steps,
        "batch_tokens": rows * run.context,
        "trained_tokens": progress.tokens,
        "unique_tokens": len(data.tokens("train")),
        "look_rows": look,
        "bits_per_byte": round(record.last["bits_per_byte"], 5),
        "level": asdict(level),
    }


class Last:
    """A `Record` that keeps the latest figures alone."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def stepped(self, figures: Mapping[str, float]) -> None:
        """See `Record`."""
        self.last |= figures

    def sample(self, step: int) -> None:
        """See `Record`."""

    def save(self, progress: Progress, optimiser: Mapping[str, Any]) -> None:
        """See `Record`."""


def main() -> None:
    """Makes what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--part", type=int, default=0, help="this share of --parts of the runs")
    parser.add_argument("--parts", type=int, default=1)
    asked = parser.parse_args()
    asked.out.touch()
    torch.set_num_threads(asked.threads)
    for run in RUNS[asked.part :: asked.parts]:
        lines = [json.loads(line) for line in asked.out.read_text().splitlines()]
        if any(asdict(run).items() <= line.items() for line in lines):
            continue
        line = made(Workspace(asked.workspace.resolve()), run, asked.threads)
        with asked.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
