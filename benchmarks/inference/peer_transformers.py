"""`transformers` in bfloat16 through `generate`: plain, or compiled with a static cache."""

from __future__ import annotations

import argparse
from typing import Any

import torch
import transformers
from worker import clock, prompt_ids, resident_bytes, serve


class Times:
    """A streamer: when each token of one reply came. The prompt comes first and is left out."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, _value: torch.Tensor) -> None:
        self.times.append(clock())

    def end(self) -> None:
        del self.times[0]


class Tasks:
    """The measured tasks, all greedy."""

    def __init__(self, model: Any, compiled: bool) -> None:
        self.model = model
        self.options: dict[str, Any] = {}
        if compiled:
            how = transformers.CompileConfig(dynamic=False)
            how._compile_all_devices = True  # without it `generate` compiles only on a GPU
            self.options = {"cache_implementation": "static", "compile_config": how}

    def generate(self, ids: torch.Tensor, new: int, **options: Any) -> float:
        """Seconds of `generate` for ids (batch, length) and `new` more tokens each."""
        start = clock()
        out = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
            pad_token_id=0,
            **self.options,
            **options,
        )
        seconds = clock() - start
        if out.shape[1] != ids.shape[1] + new:
            raise RuntimeError(f"asked for {new} tokens, got {out.shape[1] - ids.shape[1]}")
        return seconds

    def prefill(self, task: dict[str, Any]) -> dict[str, Any]:
        """Tokens per second of reading one prompt (only the last row through the head)."""
        ids = torch.tensor([prompt_ids(task["tokens"], task["salt"])])
        start = clock()
        self.model(ids, use_cache=True, logits_to_keep=1)[0].argmax()
        return {"rate": task["tokens"] / (clock() - start)}

    def decode(self, task: dict[str, Any]) -> dict[str, Any]:
        """Tokens per second of one stream after `tokens` of context."""
        ids = torch.tensor([prompt_ids(task["tokens"], task["salt"])])
        streamer = Times()
        self.generate(ids, task["new"], streamer=streamer)
        times = streamer.times
        if len(times) != task["new"]:
            raise RuntimeError(f"asked for {task['new']} tokens, {len(times)} came")
        return {"rate": (len(times) - 1) / (times[-1] - times[0])}

    def streams(self, task: dict[str, Any]) -> dict[str, Any]:
        """New tokens per second of one batched `generate`, prompts included."""
        rows = [prompt_ids(task["tokens"], task["salt"] * 100 + i) for i in range(task["count"])]
        seconds = self.generate(torch.tensor(rows), task["new"])
        return {"rate": task["count"] * task["new"] / seconds}

    def memory(self, _task: dict[str, Any]) -> dict[str, Any]:
        """Resident memory now."""
        return resident_bytes()


def main() -> None:
    """Loads the model from its folder as bfloat16 and serves tasks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True, help="Hugging Face folder of the model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compiled", type=int, default=0)
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
    tasks = Tasks(model, bool(options.compiled))
    names = ("prefill", "decode", "streams", "memory")
    serve({name: getattr(tasks, name) for name in names}, ready)


if __name__ == "__main__":
    main()
