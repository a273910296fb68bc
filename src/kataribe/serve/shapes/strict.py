"""What every shape that comes in shares: unknown fields and wrong types are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from kataribe.base.lm import LEAST_REPETITION_PENALTY


class Incoming(BaseModel):
    """An object in a request. A number in quotes is no number, and no field is ignored.

    Attributes:
        FORMS: What fields that have several forms may be, for the error that says so.
    """

    FORMS: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, frozen=True, protected_namespaces=()
    )


class Outgoing(BaseModel):
    """An object in a response."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


def _only_false(value: bool) -> bool:
    if value:
        raise ValueError("only false is taken")
    return value


def _integral(value: Any) -> Any:
    # JSON has one kind of number, and JSON Schema counts 2.0 as an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


# The range stands before the validator, else pydantic leaves it out of the JSON schema.
_Whole = BeforeValidator(_integral)
TokenId = Annotated[int, Field(ge=0, lt=2**31), _Whole]
Count = Annotated[int, Field(ge=0, lt=2**31), _Whole]
Positive = Annotated[int, Field(ge=1, lt=2**31), _Whole]
Choices = Annotated[int, Field(ge=1, le=128), _Whole]
Ranks = Annotated[int, Field(ge=0, le=20), _Whole]
Repeats = Annotated[int, Field(ge=1, le=16), _Whole]
Thumb = Annotated[int, Field(ge=-1, le=1), _Whole]  # a Literal would take `false` for 0
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63), _Whole]
Bias = Annotated[float, Field(ge=-100, le=100)]
BiasKey = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
# What pydantic writes of the keys' pattern says nothing of keys that do not match it.
Biases = Annotated[dict[BiasKey, Bias], Field(json_schema_extra={"additionalProperties": False})]
OnlyFalse = Annotated[  # a Literal would take 0, too
    bool, AfterValidator(_only_false), Field(json_schema_extra={"const": False})
]
Stop = Annotated[str, Field(min_length=1)]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Verbosity: TypeAlias = Literal["low", "medium", "high"]
Detail: TypeAlias = Literal["auto", "low", "high", "original"]


class StreamOptions(Incoming):
    """How a stream is told."""

    include_usage: bool | None = Field(
        None, description="A last event before [DONE] carries the usage, with no choices."
    )
    include_obfuscation: Literal[False] | None = Field(
        None, description="Padding against traffic analysis is not offered; only false is taken."
    )


class StructuredOutputs(Incoming):
    """A form that the reply is held to; exactly one of the fields (vLLM's shape)."""

    json_: dict[str, Any] | None = Field(None, alias="json", description="A JSON schema.")
    json_object: Literal[True] | None = Field(None, description="Any JSON object.")
    regex: str | None = Field(None, min_length=1, description="The whole reply matches it.")
    choice: list[Annotated[str, Field(min_length=1)]] | None = Field(
        None, min_length=1, max_length=1000, description="The reply is one of these."
    )
    grammar: str | None = Field(None, min_length=1, description="A grammar in Lark's notation.")


class Sampled(Incoming):
    """The fields that chats and completions share."""

    model: str = Field(min_length=1, max_length=256, description="A name that /v1/models lists.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(
        None,
        ge=LEAST_REPETITION_PENALTY,
        le=10,
        description="Extension: divides the logits of tokens seen before.",
    )
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: Count | None = Field(None, description="Extension: 0 for all tokens.")
    min_p: float | None = Field(None, ge=0, le=1, description="Extension.")
    min_tokens: Count | None = Field(
        None, description="Extension: the reply cannot end before this many."
    )
    ignore_eos: bool | None = Field(
        None, description="Extension: the model's end tokens do not end the reply."
    )
    logit_bias: Biases | None = Field(None, description="By token id.")
    n: Choices | None = Field(None, description="How many choices.")
    seed: Seed | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = Field(
        None, description="A string or up to 16; not part of the reply."
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    structured_outputs: StructuredOutputs | None = Field(None, description="Extension.")
    user: str | None = Field(None, description="Passed on; does not change the answer.")
