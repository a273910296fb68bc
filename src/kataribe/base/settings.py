"""Settings: flag > environment `KATARIBE_*` > `kataribe.toml` in the workspace > default."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from kataribe.base.errors import SettingsError
from kataribe.base.nearness import meant, near
from kataribe.base.workspace import Workspace

DEFAULT_MODEL = "smollm2-135m"

BESIDE = {
    "KATARIBE_HOME": "the workspace's folder",
    "KATARIBE_OWN_NODE": "`make` fetches a Node of its own for the studio, even where there is one",
    "KATARIBE_TEST_MODELS": "folder of real models for the tests",
    "KATARIBE_FETCH": "the tests may fetch models that are not here",
    "KATARIBE_ACCEPT_GEMMA_TERMS": "the tests may fetch Gemma, whose terms were accepted",
}
"""Variables of the environment that are no settings, and what they mean."""


class Settings(BaseSettings):
    """What can be set; each field's description is its documentation."""

    model_config = SettingsConfigDict(env_prefix="KATARIBE_", extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8720, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    key: str | None = Field(
        None, min_length=8, description="Key that API clients must send; None asks for none."
    )
    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Further names that the server answers to, such as chat.example.org; "
        "separated by commas.",
    )
    origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Further origins whose pages may send requests, such as "
        "https://chat.example.org; separated by commas.",
    )
    model: str = Field(DEFAULT_MODEL, description="Model to answer when none is named.")
    ctx: int | None = Field(
        None, ge=16, description="Context in tokens; None takes the model's own, as memory allows."
    )
    threads: int | None = Field(None, ge=1, le=1024, description="Threads; None takes all cores.")
    memory: float | None = Field(
        None,
        gt=0,
        le=2**20,
        allow_inf_nan=False,
        description="Memory budget for loaded models in GiB; None takes 70 % of RAM.",
    )
    precision: Literal["auto", "float32", "bfloat16", "int8", "int4"] = Field(
        "auto", description="How weights are held: auto, float32, bfloat16, int8 or int4."
    )
    device: str = Field("auto", description="auto, cpu, cuda (or cuda:1) or mps.")
    queue: int = Field(256, ge=1, le=100_000, description="Requests that may wait for a model.")
    providers: dict[str, Any] = Field(
        default_factory=dict,
        description="Hosts of models beside the known ones, by name: tables of address, wire, key "
        "and like.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is told in the log: debug, info, warning or error."
    )

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?|mps", value):
            raise ValueError(f"{value!r:.60} is no device; choose auto, cpu, cuda, cuda:1 or mps")
        return value

    @field_validator("hosts", "origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[\w.-]+|\[?[0-9a-fA-F:.]+\]?", name):
                raise ValueError(f"{name!r} is no host name; write it without http:// and port")
        return value

    @field_validator("origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(f"{origin!r} is no origin; write it like https://chat.example.org")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment, then the workspace's file."""
        workspace = Workspace.locate()
        from_file = InitSettingsSource(settings_cls, _read_toml(workspace.config))
        return (init_settings, env_settings, from_file)


def load_settings(**flags: Any) -> Settings:
    """The settings in force; a flag that is None counts as not given.

    Raises `SettingsError` naming the setting, where it is set, its value (never a key) and what
    it may be.
    """
    _check_environment()
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise _explain(error, given) from None


def _explain(error: ValidationError, flags: Mapping[str, Any]) -> SettingsError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    path = ".".join(str(step) for step in first["loc"])
    source = _source(name, flags)
    if first["type"] == "extra_forbidden":
        known = sorted(Settings.model_fields)
        return SettingsError(
            f"Setting {name} ({source}) is {_shown(name, first['input'])}, but there is no such "
            f"setting. {meant(name, known)} Correct or remove it.",
            param=name,
        )
    problem = first["msg"].removeprefix("Value error, ")
    return SettingsError(
        f"Setting {path} ({source}) is {_shown(name, first['input'])}: {problem}.", param=path
    )


def _source(name: str, flags: Mapping[str, Any]) -> str:
    """Where a setting was given, as the sources come before one another."""
    if name in flags:
        return "flag"
    variable = f"KATARIBE_{name.upper()}"
    if any(given.upper() == variable for given in os.environ):
        return variable
    return str(Workspace.locate().config)


def _shown(name: str, value: Any) -> str:
    """A value in a message; one that may be a key is not shown, for messages end up in logs."""
    misspelt = name not in Settings.model_fields
    if name == "key" or (misspelt and near("key", [name])):
        return "not shown here"
    return f"{value!r:.120}"


def _check_environment() -> None:
    """Refuses `KATARIBE_` variables that mean nothing: a misspelt one would do nothing."""
    known = {*BESIDE, *(f"KATARIBE_{name.upper()}" for name in Settings.model_fields)}
    for name in sorted(os.environ):
        if name.upper().startswith("KATARIBE_") and name.upper() not in known:
            raise SettingsError(
                f"The environment has {name}, which is no setting. {meant(name, sorted(known))} "
                "Correct or unset it.",
                param=name,
            )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}. Mend or remove it.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.") from None
