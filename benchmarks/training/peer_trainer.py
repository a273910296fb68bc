"""transformers' Trainer on the same Llama-shaped model, for one of its settings.

Runs in the peer's own environment; `worker.py` of the folder beside it speaks with the parent.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inference"))

from worker import serve


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Rows of random tokens: what is learned does not matter, how long it takes does."""

    def __init__(self, count: int, seq: int, vocabulary: int) -> None:
        self._ids = torch.from_numpy(
            np.random.default_rng(0).integers(0, vocabulary, (count, seq), dtype=np.int64)
        )

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, at: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self._ids[at], "labels": self._ids[at]}


class Stamps(transformers.TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.times.append(time.perf_counter())


def model_of(shape: dict[str, Any]) -> transformers.LlamaForCausalLM:
    """The model of the comparison, with random weights."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=shape["vocab_size"],
        hidden_size=shape["hidden_size"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"],
        intermediate_size=shape["intermediate_size"],
        max_position_embeddings=shape["seq"],
        tie_word_embeddings=True,
        attn_implementation="sdpa",
        use_cache=False,
    )
    return transformers.LlamaForCausalLM(config)


def main() -> None:
    """Waits for a task and measures it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bf16", type=int, default=1)
    parser.add_argument("--compile", type=int, default=1)
    parser.add_argument("--rows", type=int, required=True, help="rows of one pass")
    options = parser.parse_args()
    torch.set_num_threads(2)

    def train(values: dict[str, Any]) -> dict[str, Any]:
        shape, steps, warm = values["shape"], values["steps"], values["warm"]
        passes = max(1, shape["rows"] // options.rows)
        stamps = Stamps()
        arguments = transformers.TrainingArguments(
            output_dir=values["folder"],
            max_steps=warm + steps,
            per_device_train_batch_size=options.rows,
            gradient_accumulation_steps=passes,
            bf16=bool(options.bf16),
            torch_compile=bool(options.compile),
            optim="adamw_torch_fused",
            learning_rate=1e-3,
            max_grad_norm=1.0,
            lr_scheduler_type="cosine",
            use_cpu=True,
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_num_workers=0,
            remove_unused_columns=False,
        )
        rows = Rows((warm + steps) * options.rows * passes, shape["seq"], shape["vocab_size"])
        trainer = transformers.Trainer(
            model=model_of(shape), args=arguments, train_dataset=rows, callbacks=[stamps]
        )
        trainer.train()
        taken = stamps.times[-1] - stamps.times[warm - 1]
        tokens = steps * options.rows * passes * shape["seq"]
        return {"rate": tokens / taken, "seconds": taken, "tokens": tokens}

    serve({"train": train}, {"version": transformers.__version__})


if __name__ == "__main__":
    main()
