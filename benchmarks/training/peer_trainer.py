"""transformers' Trainer on the same Llama-shaped model, for one of its settings.

Runs in the peer's own environment; `turns.py` beside it speaks with the parent.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch
import transformers
from turns import Turns

ROWS = 4096
"""Rows of random tokens; then they come again."""


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Rows of random tokens: what is learned does not matter, how long it takes does."""

    def __init__(self, seq: int, vocabulary: int) -> None:
        self._ids = torch.from_numpy(
            np.random.default_rng(0).integers(0, vocabulary, (ROWS, seq), dtype=np.int64)
        )

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, at: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self._ids[at], "labels": self._ids[at]}


class Steps(transformers.TrainerCallback):
    """Tells of the end of each step."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._turns.stepped()


def model_of(shape: dict[str, Any], attention: str) -> transformers.LlamaForCausalLM:
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
        attn_implementation=attention,
        use_cache=False,
    )
    return transformers.LlamaForCausalLM(config)


def main() -> None:
    """Trains for as long as it is asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", type=json.loads, required=True)
    parser.add_argument("--folder", required=True, help="where the Trainer may write")
    parser.add_argument("--bf16", type=int, required=True)
    parser.add_argument("--compile", type=int, required=True)
    parser.add_argument("--attention", required=True, help="sdpa or eager")
    parser.add_argument("--rows", type=int, required=True, help="rows of one pass")
    options = parser.parse_args()
    torch.set_num_threads(2)
    shape = options.shape
    arguments = transformers.TrainingArguments(
        output_dir=options.folder,
        max_steps=1 << 20,
        per_device_train_batch_size=options.rows,
        gradient_accumulation_steps=max(1, shape["rows"] // options.rows),
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
    model = model_of(shape, options.attention)
    parameters = sum(weight.numel() for weight in model.parameters())
    turns = Turns({"version": transformers.__version__, "parameters": parameters})
    rows = Rows(shape["seq"], shape["vocab_size"])
    transformers.Trainer(
        model=model, args=arguments, train_dataset=rows, callbacks=[Steps(turns)]
    ).train()


if __name__ == "__main__":
    main()
