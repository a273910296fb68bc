"""`transformers` in bfloat16 with its static and dynamic caches, the faster of both."""

from __future__ import annotations

import argparse
from typing import Any

import torch
import transformers
from worker import clock, prompt_ids, resident_bytes, serve


class Tasks:
    """The measured tasks, all greedy."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def generate(self, ids: torch.Tensor, new: int) -> float:
        """Seconds of `generate` for ids (batch, length) and `new` more tokens each."""
        start = clock()
        out = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
            pad_token_id=0,
        )
        seconds = clock() - start
        if out.shape[1] != ids.shape[1] + new:
            raise RuntimeError(f"asked for {new} tokens, got {out.shape[1] - ids.shape[1]}")
        return seconds

    def prefill(self, task: dict[str, Any]) -> dict[str, Any]:
        """Tokens per second of reading one prompt (only the last row through the head)."""
        ids = torch.tensor([prompt_ids(task["tokens"], task["salt"])])
        start = clock()
        self.model(ids, use_cache=True, logits_to_keep=1)
        return {"rate": task["tokens"] / (clock() - start)}

    def decode(self, task: dict[str, Any]) -> dict[str, Any]:
        """Tokens per second of one stream: what `new` tokens take more than one does."""
        ids = torch.tensor([prompt_ids(task["tokens"], task["salt"])])
        first = self.generate(ids, 1)
        return {"rate": (task["new"] - 1) / (self.generate(ids, task["new"]) - first)}

    def streams(self, task: dict[str, Any]) -> dict[str, Any]:
        """New tokens per second of one batched `generate`, prompts included."""
        rows = [prompt_ids(task["tokens"], task["salt"] * 100 + i) for i in range(task["count"])]
        seconds = self.generate(torch.tensor(rows), task["new"])
        return {"rate": task["count"] * task["new"] / seconds}

    def memory(self, _task: dict[str, Any]) -> dict[str, Any]:
        """Resident memory now."""
        return resident_bytes()


def main() -> None:
    """Loads the model from its GGUF file as bfloat16 and serves tasks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True, help="Hugging Face folder of the model")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    before = resident_bytes()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        options.folder, dtype=torch.bfloat16, attn_implementation="sdpa"
    ).eval()
    ready = {
        "before": before,
        "after": resident_bytes(),
        "version": f"{transformers.__version__}, torch {torch.__version__}",
    }
    names = ("prefill", "decode", "streams", "memory")
    serve({name: getattr(Tasks(model), name) for name in names}, ready)


if __name__ == "__main__":
    main()
