"""llama.cpp through `xllamacpp`: its server with continuous batching, called in its process."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import xllamacpp
from worker import clock, prompt_ids, resident_bytes, serve


def build(options: argparse.Namespace) -> xllamacpp.Server:
    """A server of `options.parallel` slots of `options.context` tokens each."""
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.n_parallel = options.parallel
    params.n_ctx = options.context * options.parallel
    params.n_batch = options.batch
    params.n_ubatch = options.ubatch
    params.flash_attn_type = xllamacpp.llama_flash_attn_type(options.flash)
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = 0
    params.fit_params = False
    params.verbosity = 0
    params.kv_unified = bool(options.unified)
    params.no_extra_bufts = bool(options.no_repack)
    kind = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{options.kv.upper()}")
    params.cache_type_k = params.cache_type_v = kind
    params.load_mode = type(params.load_mode)(options.load)
    return xllamacpp.Server(params)


class Tasks:
    """The measured tasks, all with greedy sampling and no end of turn."""

    def __init__(self, server: xllamacpp.Server) -> None:
        self.server = server

    def complete(self, ids: list[int], new: int) -> dict[str, Any]:
        """One completion; the server's own timings are in the answer."""
        request = {
            "prompt": ids,
            "n_predict": new,
            "samplers": ["top_k"],  # greedy, without the samplers that would sort for nothing
            "top_k": 1,
            "ignore_eos": True,
            "cache_prompt": False,
        }
        answer = self.server.handle_completions(request)
        parsed: dict[str, Any] = answer if isinstance(answer, dict) else json.loads(answer)
        if "timings" not in parsed:
            raise RuntimeError(f"llama.cpp answered {parsed}")
        timings: dict[str, Any] = parsed["timings"]
        if (timings["prompt_n"], timings["predicted_n"]) != (len(ids), new):
            raise RuntimeError(f"asked for {len(ids)} + {new} tokens, got {timings}")
        return timings

    def prefill(self, task: dict[str, Any]) -> dict[str, Any]:
        """Tokens per second of reading one prompt."""
        timings = self.complete(prompt_ids(task["tokens"], task["salt"]), 1)
        return {"rate": 1000 * timings["prompt_n"] / timings["prompt_ms"]}

    def decode(self, task: dict[str, Any]) -> dict[str, Any]:
        """Tokens per second of one stream after `tokens` of context.

        The server's clock starts with the first token, as ours does: one interval less than tokens.
        """
        timings = self.complete(prompt_ids(task["tokens"], task["salt"]), task["new"])
        return {"rate": 1000 * (timings["predicted_n"] - 1) / timings["predicted_ms"]}

    def streams(self, task: dict[str, Any]) -> dict[str, Any]:
        """New tokens per second of many requests at once, from sending to the last token."""
        prompts = [prompt_ids(task["tokens"], task["salt"] * 100 + i) for i in range(task["count"])]
        with ThreadPoolExecutor(task["count"]) as pool:
            start = clock()
            done = list(pool.map(lambda ids: self.complete(ids, task["new"]), prompts))
            seconds = clock() - start
        return {"rate": sum(t["predicted_n"] for t in done) / seconds}

    def memory(self, _task: dict[str, Any]) -> dict[str, Any]:
        """Resident memory now."""
        return resident_bytes()


def main() -> None:
    """Loads the model and serves tasks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--context", type=int, default=1280)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--ubatch", type=int, default=512)
    parser.add_argument("--flash", type=int, default=-1)
    parser.add_argument("--unified", type=int, default=0)
    parser.add_argument("--kv", default="f16", help="type of keys and values")
    parser.add_argument("--load", type=int, default=-1, help="llama_load_mode")
    parser.add_argument("--no-repack", type=int, default=0)
    options = parser.parse_args()
    before = resident_bytes()
    tasks = Tasks(build(options))
    features = xllamacpp.get_system_info().replace(" = 1", "").replace(" |", "").strip()
    version = f"xllamacpp {xllamacpp.__version__}, built with {features}"
    ready = {"before": before, "after": resident_bytes(), "version": version}
    names = ("prefill", "decode", "streams", "memory")
    serve({name: getattr(tasks, name) for name in names}, ready)


if __name__ == "__main__":
    main()
