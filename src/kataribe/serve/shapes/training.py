"""Training runs: what they are to do, what they do, what came of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Count, Incoming, Outgoing, Positive

RunState = Literal["waiting", "planning", "planned", "running", "stopped", "failed", "done"]
Objective = Literal[
    "pretrain", "instruct", "masked", "denoise", "classify", "tag", "embed", "distill"
]
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
    state: RunState = Field(
        description="`planning`: what to expect is being measured; `planned`: it is known, and the "
        "run waits to be told to begin."
    )
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
    expected: Outcome | None = Field(description="What its plan expects of it; null without one.")
    model: str | None = Field(description="Name under which what it made is served.")
    job: str | None = Field(description="The job that runs or waits to run it.")


class RunList(Outgoing):
    """Newest first."""

    object: Literal["list"] = "list"
    data: list[Run]


class RunDetail(Outgoing):
    """One run with its plan and what came of it."""

    run: Run
    plan: dict[str, Any]
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
    """What a new run can be made of, by what each kind of run needs."""

    corpora: list[str]
    chats: list[str] = Field(description="Conversations that can teach a model to answer.")
    labelled: list[str] = Field(description="Texts with a label, for `classify`.")
    tagged: list[str] = Field(description="Texts with labelled words or spans, for `tag`.")
    pairs: list[str] = Field(description="Questions with their passages, for `embed`.")
    tokenizers: list[str]
    mask_tokenizers: list[str] = Field(description="Those with a mask token, for `masked`.")
    gap_tokenizers: list[str] = Field(description="Those with sentinels, for `denoise`.")
    models: list[str] = Field(description="Models that continue text.")
    encoders: list[str] = Field(description="Models that read text as a whole.")


class NewRun(Incoming):
    """Start a run, or plan one. A field that means nothing for the objective is refused."""

    objective: Objective
    name: _Name = Field(description="Name of the model that it makes.")
    corpus: _Name = Field(
        description="What it learns from, of the kind that the objective needs; see the choices."
    )
    tokenizer: str | None = Field(
        None, max_length=128, description="`pretrain`, `masked` and `denoise` need one."
    )
    model: str | None = Field(
        None,
        max_length=128,
        description="`instruct`, `classify`, `tag` and `embed` go on from it, `pretrain` and "
        "`masked` may; `distill` learns from it.",
    )
    minutes: float | None = Field(None, gt=0, le=60 * 24 * 30, description="`pretrain` only.")
    size: str | None = Field(
        None, max_length=16, description="Parameters, such as 10M: `pretrain` and `distill`."
    )
    epochs: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="How often each example is seen: `instruct`, `classify`, `tag`, `embed`.",
    )
    tokens: Positive | None = Field(
        None, description="To learn from: `pretrain`, `masked`, `denoise`, `distill`."
    )
    context: Positive | None = Field(None, description="Tokens of a row.")
    batch: Positive | None = Field(
        None, description="Of a step: examples for `classify`, `tag` and `embed`, else tokens."
    )
    seed: Count = 0
    start: bool = Field(
        default=True,
        description="False: only measure what to expect; the run then is `planned` and waits for "
        "its resume.",
    )
