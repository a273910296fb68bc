"""Kataribe through its engine: checkpoint, packed weights, scheduler, runner, sampler."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import random
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

from worker import clock, prompt_ids, resident_bytes, serve

from kataribe.base.lm import Sampling
from kataribe.files.gguf import open_gguf
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.load import LoadOptions, load_local
from kataribe.run.inference.requests import Ended, Generated, GenerationRequest


class Tasks:
    """The measured tasks, greedy and without an end of turn."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.loop = asyncio.new_event_loop()

    async def generate(self, ids: list[int], new: int) -> list[float]:
        """When each token came, in seconds after the request was sent."""
        start = clock()
        times: list[float] = []
        await self.listen(ids, new, times)
        if len(times) != new:
            raise RuntimeError(f"asked for {new} tokens, got {len(times)}")
        return [time - start for time in times]

    async def listen(
        self, ids: list[int], new: int, times: list[float], over: asyncio.Event | None = None
    ) -> None:
        """Notes when each token comes, to the end of the reply or the first token after `over`."""
        sampling = Sampling(temperature=0.0, max_tokens=new, ignore_eos=True)
        async with aclosing(self.engine.submit(GenerationRequest(tuple(ids), sampling))) as events:
            async for event in events:
                if isinstance(event, Generated):
                    times.extend([clock()] * len(event.ids))
                    if over is not None and over.is_set():
                        return

    def once(self, ids: list[int], new: int) -> list[float]:
        """The same, waited for."""
        return self.loop.run_until_complete(self.generate(ids, new))

    def prefill(self, task: dict[str, Any]) -> dict[str, Any]:
        """Prompt tokens per second until the first token is here."""
        times = self.once(prompt_ids(task["tokens"], task["salt"]), 1)
        return {"rate": task["tokens"] / times[0]}

    def decode(self, task: dict[str, Any]) -> dict[str, Any]:
        """Tokens per second of one stream after `tokens` of context."""
        times = self.once(prompt_ids(task["tokens"], task["salt"]), task["new"])
        return {"rate": (task["new"] - 1) / (times[-1] - times[0])}

    def streams(self, task: dict[str, Any]) -> dict[str, Any]:
        """New tokens per second of many requests at once, from sending to the last token."""
        prompts = [prompt_ids(task["tokens"], task["salt"] * 100 + i) for i in range(task["count"])]

        async def together() -> None:
            await asyncio.gather(*(self.generate(ids, task["new"]) for ids in prompts))

        start = clock()
        self.loop.run_until_complete(together())
        return {"rate": task["count"] * task["new"] / (clock() - start)}

    def reuse(self, task: dict[str, Any]) -> dict[str, Any]:
        """Seconds to the first token of `new` after `tokens` that are in the cache or not."""
        old = prompt_ids(task["tokens"], task["salt"] * 10)
        turn = prompt_ids(task["new"], task["salt"] * 10 + 1)
        cold = self.once([*prompt_ids(task["tokens"], task["salt"] * 10 + 2), *turn], 1)[0]
        self.once(old, 1)
        return {"cold": cold, "warm": self.once([*old, *turn], 1)[0]}

    def fairness(self, task: dict[str, Any]) -> dict[str, Any]:
        """Many streams: Jain's index of their tokens, and gaps while a long prompt is read beside.

        They go on until the prompt is read and each has had one token more; a stream whose reply
        ends before sends another request, and the time between two requests is no gap.
        """
        streams, begun, sent, read = self.loop.run_until_complete(self._beside_a_book(task))
        pairs = [
            [pair for times in stream for pair in itertools.pairwise(times)] for stream in streams
        ]
        gaps = [[b - a for a, b in stream if sent <= b and a <= read] for stream in pairs]
        counts = [sum(begun <= t <= read for times in stream for t in times) for stream in streams]
        ordered = sorted(itertools.chain.from_iterable(gaps))
        return {
            "jain": sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts)),
            "p99": ordered[math.ceil(len(ordered) * 0.99) - 1],
            "worst": ordered[-1],
            "gaps": len(ordered),
            "fewest": min(map(len, gaps)),
            "requests": sum(map(len, streams)),
            "read_seconds": read - sent,
        }

    async def _beside_a_book(
        self, task: dict[str, Any]
    ) -> tuple[list[list[list[float]]], float, float, float]:
        """Times of each stream's requests; when all had begun, the prompt was sent and was read."""
        base, over = task["salt"] * 1_000_000, asyncio.Event()
        streams: list[list[list[float]]] = [[] for _ in range(task["count"])]

        async def stream(number: int) -> None:
            while not over.is_set():
                salt = base + 1000 * number + len(streams[number])
                prompt = prompt_ids(random.Random(salt).randint(16, 64), salt)
                streams[number].append([])
                await self.listen(prompt, task["new"], streams[number][-1], over)

        running = [asyncio.create_task(stream(number)) for number in range(task["count"])]
        while not all(stream and stream[0] for stream in streams):
            await asyncio.sleep(0.02)
            for task_of_stream in running:
                if task_of_stream.done():
                    task_of_stream.result()  # raises what ended it
        begun = clock()
        await asyncio.sleep(1.0)
        sent = clock()
        await self.generate(prompt_ids(task["tokens"], base + 999_999), 1)
        read = clock()
        over.set()
        await asyncio.gather(*running)
        return streams, begun, sent, read

    def batching(self, task: dict[str, Any]) -> dict[str, Any]:
        """Share of replies that come out otherwise in company than alone, in this precision."""
        prompts = [prompt_ids(task["tokens"], task["salt"] * 100 + i) for i in range(task["count"])]

        async def reply(ids: list[int]) -> tuple[int, ...]:
            sampling = Sampling(temperature=0.0, max_tokens=task["new"], ignore_eos=True)
            request = GenerationRequest(tuple(ids), sampling)
            async with aclosing(self.engine.submit(request)) as events:
                async for event in events:
                    if isinstance(event, Ended):
                        return event.ids
            raise RuntimeError("a reply did not end")

        async def everyone() -> list[tuple[int, ...]]:
            return await asyncio.gather(*(reply(ids) for ids in prompts))

        alone = [self.loop.run_until_complete(reply(ids)) for ids in prompts]
        together = self.loop.run_until_complete(everyone())
        differ = sum(one != other for one, other in zip(alone, together, strict=True))
        return {"differ": differ / len(prompts), "replies": len(prompts)}

    def memory(self, _task: dict[str, Any]) -> dict[str, Any]:
        """Resident memory now."""
        return resident_bytes()


def main() -> None:
    """Loads the model and serves tasks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cache", type=int, default=1280, help="tokens of all replies together")
    parser.add_argument("--context", type=int, default=1280)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    before = resident_bytes()
    held = open_gguf(options.model)  # as `up` and `ask` load: one open file for all who read it
    local = load_local(
        "measured",
        options.model,
        LoadOptions(
            context=options.context,
            cache_tokens=options.cache,
            precision=options.precision,
            threads=options.threads,
        ),
    )
    del held
    ready = {
        "before": before,
        "after": resident_bytes(),
        # Nothing here imports PyTorch: the process is what a person's is, with that of its runner.
        "version": f"{type(local.engine._runner).__name__}, {options.precision}, PyTorch "
        + ("imported" if "torch" in sys.modules else "not imported"),
    }
    tasks = Tasks(local.engine)
    names = ("prefill", "decode", "streams", "reuse", "fairness", "batching", "memory")
    serve({name: getattr(tasks, name) for name in names}, ready)
    local.close(0.0)


if __name__ == "__main__":
    main()
