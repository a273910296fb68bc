"""Kataribe's own loop as a measured program: a run's folder, its records, the objective, the loop.

Everything is what `kataribe train pretrain` does by default in a run of ten minutes: precision and
compiler as `settle` chooses them, Muon, metrics and TensorBoard written after every step, rows
taken from token data on the disk. Looks, samples and checkpoints are left out, as with the peer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from turns import Turns

from kataribe.base.workspace import Workspace
from kataribe.make.model.families import config_from_hf
from kataribe.make.tokens.document_marks import DocumentMarks
from kataribe.make.tokens.stream_rows import StreamRows
from kataribe.make.tokens.token_data import META, DataMeta, SplitMeta, TokenData
from kataribe.make.training.causal import causal_loss
from kataribe.make.training.config import LoopConfig, Optimisation, Watching, Work
from kataribe.make.training.fresh import fresh_decoder
from kataribe.make.training.machine import settle
from kataribe.make.training.rows_objective import RowsData, RowsObjective
from kataribe.make.training.runs import RunInfo, create_run
from kataribe.make.training.session import Setup, carry_out

AS_LONG_AS = 600.0
"""Seconds of the run that the settings are chosen for."""
TOKENS = 1 << 21


def llama(shape: dict[str, Any]) -> dict[str, Any]:
    """config.json of the shape, as `peer_trainer.model_of` makes it."""
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": shape["vocab_size"],
        "hidden_size": shape["hidden_size"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["heads"],
        "intermediate_size": shape["intermediate_size"],
        "max_position_embeddings": shape["seq"],
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
    }


def token_data(folder: Path, vocabulary: int) -> TokenData:
    """Random tokens of one long document: what is learned does not matter here."""
    ids = np.random.default_rng(0).integers(0, vocabulary, TOKENS).astype("<u2")
    folder.mkdir()
    ids.tofile(folder / "train.bin")
    np.zeros(1, "<i8").tofile(folder / "train.idx")
    split = SplitMeta(TOKENS, 1, TOKENS, 0, "", "")
    meta = DataMeta("", "", "random", vocabulary, DocumentMarks(1, 1), {"train": split})
    (folder / META).write_text(meta.to_json())
    return TokenData.open(folder, verify=False)


def train(folder: Path, shape: dict[str, Any], optimiser: str, work: Work) -> None:
    """Trains until nobody asks any more."""
    data = token_data(folder / "tokens", shape["vocab_size"])
    steps = 1 << 20
    config = LoopConfig(
        steps=steps,
        batch_rows=shape["rows"],
        optimisation=Optimisation(optimiser=optimiser),  # type: ignore[arg-type]
        work=settle(work, AS_LONG_AS),
        watching=Watching(eval_every=0, sample_every=0, checkpoint_every=0, trackers="none"),
    )
    model = fresh_decoder(config_from_hf(llama(shape)), 0)
    rows = RowsData(StreamRows(data, "train", shape["seq"]), shape["rows"])
    objective = RowsObjective(rows, causal_loss, "next-token")
    run = create_run(Workspace(folder).runs, RunInfo(name="speed", objective="pretrain"), {})
    chosen = config.work
    told = {
        "version": f"{chosen.precision}, compile {chosen.compile}, {optimiser}, "
        f"{sum(each.numel() for each in model.parameters()):,} parameters",
        "parameters": sum(each.numel() for each in model.parameters()),
    }
    turns = Turns(told)
    carry_out(run, Setup(model, objective, config, shape["seq"]), tell=lambda _: turns.stepped())


def main() -> None:
    """Reads what to measure and goes on for as long as it is asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", type=json.loads, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="emptied, and written to")
    parser.add_argument("--optimiser", default=Optimisation().optimiser)
    parser.add_argument("--compile", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    work = Work(threads=2, compile=options.compile, precision=options.precision)
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    train(options.folder, options.shape, options.optimiser, work)


if __name__ == "__main__":
    main()
