"""The end of a run: its model into the workspace, and what came beside what was said."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kataribe.files.atomic import write_atomic
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.weights.sentences import SentenceSettings
from kataribe.make.tokens.around_texts import put_around
from kataribe.make.tokens.document_marks import document_marks
from kataribe.make.training.beginning import check_name
from kataribe.make.training.checkpoints import whole_folder
from kataribe.make.training.model_files import write_model
from kataribe.make.training.runs import RunFolder, read_object, write_json
from kataribe.make.training.session import Ended, Setup, measured

PREFIXES = ("query: ", "passage: ")
"""What `PairRows` puts before questions and passages."""
TASKS = {
    "masked": "fill-mask", "denoise": "text2text-generation", "classify": "text-classification",
    "tag": "token-classification", "embed": "feature-extraction",
}  # fmt: skip
"""The hub's words, where they are others than for what writes."""


def finish(run: RunFolder, setup: Setup, ended: Ended, models: Path) -> dict[str, Any]:
    """Writes `result.json`, and the model to `models/NAME`; the run is `done` then.

    Gives what was measured. A run that was stopped before its end gets no model: its checkpoint
    is one, too.
    """
    result = measured(run, setup, ended.progress)
    write_json(run.path / "result.json", result)
    if ended.stopped:
        return result
    name = run.written_info().name
    check_name(models, name, run.id)
    with whole_folder(models / name) as folder:
        write_finished(folder, run, setup, ended.model, result)
    run.change(state="done", ended_at=time.time(), model=name)
    return result


def write_finished(
    folder: Path, run: RunFolder, setup: Setup, model: nn.Module, result: Mapping[str, Any]
) -> None:
    """A folder that `transformers` and Kataribe open: weights, tokenizer, generation, cards."""
    words = setup.words
    bfloat = setup.config.work.precision == "bfloat16"
    dtype = torch.bfloat16 if bfloat else torch.float32
    sentences = None
    if run.written_info().objective == "embed":
        context = run.plan["data"]["context"]  # as it was trained: means, prefixes and all
        prompts = {"query": PREFIXES[0], "passage": PREFIXES[1]}
        sentences = SentenceSettings(prompts=prompts, default_prompt="passage", max_tokens=context)
    write_model(model, folder, words.folder if words else None, dtype, sentences=sentences)
    objective = run.written_info().objective
    if words is not None and words.folder is not None and objective in TASKS:
        # A source of `SpanRows` has an end alone; all others' texts stand between two marks.
        put_around(folder, document_marks(words.tokenizer), begins=objective != "denoise")
    settings = read_object(folder / "config.json")
    if words is not None and isinstance(model, Decoder):
        marks = {
            "bos_token_id": words.tokenizer.bos_id,
            "eos_token_id": sorted(words.ends) or None,
            "pad_token_id": words.tokenizer.pad_id,
        }
        write_json(folder / "config.json", {**settings, **marks})
        write_json(folder / "generation_config.json", marks)
    write_atomic(folder / "card.json", json.dumps(_card(folder, run, result)))
    write_atomic(folder / "README.md", _readme(run, result))


def _card(folder: Path, run: RunFolder, result: Mapping[str, Any]) -> dict[str, Any]:
    """What the catalogue reads: see `run.catalog.installed.InstalledCard`."""
    info = run.written_info()
    settings = read_object(folder / "config.json")
    kinds = {"instruct": "chat", "pretrain": "base", "distill": "base", "embed": "embedding"}
    return {
        "name": info.name,
        "title": info.name,
        "source": f"run:{run.id}",
        "family": settings.get("model_type"),
        "kind": kinds.get(info.objective),
        "parameters": result["parameters"],
        "context_length": settings.get("max_position_embeddings"),
        "size": sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
    }


def _readme(run: RunFolder, result: Mapping[str, Any]) -> str:
    info, plan = run.written_info(), run.plan
    data = plan.get("data", {})
    rows = {
        "Made by": f"Kataribe, run `{run.id}`",
        "Objective": info.objective,
        "Went on from": info.parent,
        "Parameters": f"{result['parameters']:,}",
        "Tokens learned from": f"{result['tokens']:,}",
        "Text": data.get("corpus") or data.get("chats"),
        "Held-out loss": _nats(result.get("valid_loss")),
        "Bits per byte of held-out text": _nats(result.get("bits_per_byte")),
    }
    task = TASKS.get(info.objective, "text-generation")
    lines = ["---", f"pipeline_tag: {task}", 'tags: ["kataribe"]', "---", ""]
    lines += [f"# {info.name}", ""]
    lines += [f"- {label}: {value}" for label, value in rows.items() if value]
    lines += ["", "Settings:", "", "```json", json.dumps(plan.get("loop", {}), indent=2), "```"]
    return "\n".join(lines) + "\n"


def _nats(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
