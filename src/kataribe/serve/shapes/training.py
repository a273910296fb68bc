"""Training runs: what they are to do, what they do, what came of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Count, Incoming, Outgoing

RunState = Literal["waiting", "running", "stopped", "failed", "done"]
Objective = Literal["pretrain", "instruct"]
_Name = Annotated[str, Field(min_length=1, max_length=128)]


class Outcome(Outgoing):
    """What a run was expected to give, or gave. Null: not known."""

    parameters: int | None
    tokens: int | None
    seconds: float | None
    memory_bytes: int | None
    bits_per_byte: float | None
    bits_per_byte_low: float | None = Field(description="Lower end of the interval.")
    bits_per_byte_high: float | None = Field(description="Upper end of the interval.")


class Run(Outgoing):
    """A training run as the list shows it. Times are seconds since 1970."""

    id: str
    name: str
    objective: str
    state: RunState
    problem: str = Field(description="Why it failed, or why its folder cannot be read.")
    created_at: float
    started_at: float | None
    ended_at: float | None
    step: int
    steps: int | None = Field(description="Steps that the plan asks for.")
    tokens: int
    loss: float | None = Field(description="Nats per taught token, lately.")
    bits_per_byte: float | None = Field(description="On held-out text, at the last look.")
    tokens_per_second: float | None
    seconds_left: float | None = Field(description="Estimate; null while nobody knows.")
    parameters: int | None
    model: str | None = Field(description="Name under which what it made is served.")
    job: str | None = Field(description="The job that runs or waits to run it.")


class RunList(Outgoing):
    """Newest first."""

    object: Literal["list"] = "list"
    data: list[Run]


class RunDetail(Outgoing):
    """One run with its plan, what was expected of it and what came."""

    run: Run
    plan: dict[str, Any]
    expected: Outcome | None
    measured: Outcome | None


class RunPoint(Outgoing):
    """What a run measured at a step."""

    step: int
    tokens: int
    time: float = Field(description="Seconds of training until then.")
    loss: float | None
    lr: float | None
    grad_norm: float | None
    tokens_per_second: float | None
    valid_loss: float | None
    bits_per_byte: float | None


class RunCurve(Outgoing):
    """Points in order of their steps; of long runs only so many as were asked for."""

    object: Literal["list"] = "list"
    data: list[RunPoint]
    points: int = Field(description="How many the run has written in all.")


class RunSample(Outgoing):
    """What the model said when it was so far."""

    step: int
    prompt: str
    text: str


class RunSamples(Outgoing):
    """In order of their steps."""

    object: Literal["list"] = "list"
    data: list[RunSample]


class TrainingChoices(Outgoing):
    """What a new run can be made of."""

    corpora: list[str]
    tokenizers: list[str]
    chats: list[str] = Field(description="Conversation files that can teach a model to answer.")
    models: list[str] = Field(description="Models that can be trained further.")


class NewRun(Incoming):
    """Start a run. `minutes` or `size` chooses the rest of `pretrain`, `epochs` of `instruct`."""

    objective: Objective
    name: _Name = Field(description="Name of the model that it makes.")
    corpus: _Name = Field(description="Text, or conversations for `instruct`.")
    tokenizer: str | None = Field(None, max_length=128, description="`pretrain` needs one.")
    model: str | None = Field(None, max_length=128, description="`instruct` goes on from it.")
    minutes: float | None = Field(None, gt=0, le=60 * 24 * 30)
    size: str | None = Field(None, max_length=16, description="Parameters, such as 10M.")
    epochs: float | None = Field(
        None, gt=0, le=1000, description="How often `instruct` sees each conversation."
    )
    seed: Count = 0
