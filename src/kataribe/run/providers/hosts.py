"""Hosts of models: those that are known, and those that people add."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from kataribe.base.errors import AccessError, NotFoundError, SettingsError
from kataribe.base.nearness import meant
from kataribe.run.providers.progress import WANTED
from kataribe.run.providers.wires import Manner, fields

WireName: TypeAlias = Literal["chat", "responses", "anthropic", "gemini"]

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True, slots=True)
class Host:
    """Where models are, and how one talks to them.

    Attributes:
        name: As in references: `NAME:model`.
        wire: The format of its requests and answers.
        address: What the wire's paths are added to, without a slash at the end.
        keys: Variables of the environment that may hold its key; the first that is set counts.
        needs_key: Nothing is sent without one.
        prices: Its name in `genai-prices`; None finds it by the address.
        manner: In what it differs from OpenAI's own, for the chat wire.
    """

    name: str
    wire: WireName
    address: str
    keys: tuple[str, ...] = ()
    needs_key: bool = False
    prices: str | None = None
    manner: Manner = field(default_factory=Manner)


def known_hosts() -> dict[str, Host]:
    """The hosts that need no words in the settings, at their usual addresses."""
    openai = "https://api.openai.com/v1"
    google = "https://generativelanguage.googleapis.com/v1"
    hosts = (
        Host("openai", "chat", openai, ("OPENAI_API_KEY",), needs_key=True, prices="openai",
             manner=OPENAI),
        Host("openai-responses", "responses", openai, ("OPENAI_API_KEY",), needs_key=True,
             prices="openai"),
        Host("anthropic", "anthropic", "https://api.anthropic.com/v1", ("ANTHROPIC_API_KEY",),
             needs_key=True, prices="anthropic"),
        Host("gemini", "gemini", google, ("GEMINI_API_KEY", "GOOGLE_API_KEY"), needs_key=True,
             prices="google"),
        Host("vllm", "chat", "http://127.0.0.1:8000/v1", ("VLLM_API_KEY",), manner=VLLM),
        Host("llamacpp", "chat", "http://127.0.0.1:8080/v1", ("LLAMA_API_KEY",), manner=LLAMACPP),
        Host("ollama", "chat", "http://127.0.0.1:11434/v1", manner=OLLAMA),
        Host("lmstudio", "chat", "http://127.0.0.1:1234/v1", manner=LMSTUDIO),
        Host("kataribe", "chat", "http://127.0.0.1:8720/v1", ("KATARIBE_KEY",), manner=KATARIBE),
    )  # fmt: skip
    return {host.name: host for host in hosts}


OPENAI = Manner(
    adds=fields("allowed_tools verbosity"), names={"max_tokens": "max_completion_tokens"}
)
KATARIBE = Manner(
    adds=fields(
        "top_k min_p repetition_penalty min_tokens ignore_eos template continue_last regex choice "
        "grammar reasoning reasoning_effort reasoning_details allowed_tools verbosity"
    ),
    headers=WANTED,
)
VLLM = Manner(
    adds=fields(
        "top_k min_p repetition_penalty min_tokens ignore_eos template continue_last "
        "add_generation_prompt regex choice"
    )
)
LLAMACPP = Manner(
    adds=fields("top_k min_p repetition_penalty ignore_eos template reasoning"),
    names={"repetition_penalty": "repeat_penalty"},
)
OLLAMA = Manner(lacks=fields("logit_bias n tool_choice parallel_tool_calls audio"))
LMSTUDIO = Manner(
    adds=fields("top_k repetition_penalty"),
    lacks=fields("n logprobs parallel_tool_calls audio"),
    names={"repetition_penalty": "repeat_penalty"},
)


def parse_hosts(tables: Mapping[str, Any]) -> dict[str, Host]:
    """The known hosts, and those of `tables`: a name to a table of these fields.

        address   what the wire's paths are added to; needed for a new name
        wire      chat (the default), responses, anthropic or gemini
        key       the environment variable that holds the key; left out where none is needed
        like      a known host whose manner this one has, for the chat wire (vllm, llamacpp, ...)

    A known name changes only what its table says. Raises `SettingsError` naming the field; it
    never shows what may be a key.
    """
    hosts = known_hosts()
    for name, table in tables.items():
        where = f"providers.{name}"
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"{where} is no name for a host: use small letters, digits, hyphens and "
                "underscores, beginning with a letter.",
                param=where,
            )
        if not isinstance(table, Mapping):
            raise SettingsError(
                f'{where} must be a table such as {{address = "https://example.org/v1"}}.',
                param=where,
            )
        hosts[name] = _parse_host(name, table, hosts.get(name))
    return hosts


def _parse_host(name: str, table: Mapping[str, Any], base: Host | None) -> Host:
    where = f"providers.{name}"
    known = ("address", "wire", "key", "like")
    for given, value in table.items():
        if given not in known:
            raise SettingsError(
                f"{where}.{given} is no field of a host. {meant(given, known)}", param=where
            )
        if not isinstance(value, str) or not value:
            raise SettingsError(
                f"{where}.{given} must be a text that is not empty.", param=f"{where}.{given}"
            )
    if base is None:
        if "address" not in table:
            raise SettingsError(
                f"{where} has no address. Give one, such as http://127.0.0.1:8000/v1.",
                param=f"{where}.address",
            )
        base = Host(name, "chat", "")
    if "address" in table:
        base = dataclasses.replace(base, address=_address(where, table["address"]), prices=None)
    if "wire" in table:
        base = dataclasses.replace(base, wire=_wire(where, table["wire"]))
    if "key" in table:
        base = dataclasses.replace(base, keys=(_variable(where, table["key"]),), needs_key=True)
    if "like" in table:
        base = dataclasses.replace(base, manner=_manner(where, table["like"]))
    return base


def _address(where: str, text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port  # read now: a port that is none is found when it is
    except ValueError:
        parts = urlsplit("")
    secret = parts.username is not None or parts.password is not None
    if secret:
        # Not shown: what stands before the @ may be a key.
        raise SettingsError(
            f"{where}.address has a name or password in it. Leave them out; a key comes from the "
            f"environment variable that {where}.key names.",
            param=f"{where}.address",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        shown = text.partition("?")[0]
        raise SettingsError(
            f"{where}.address is {shown!r:.120}; it must be an http(s) address without a query, "
            "such as http://127.0.0.1:8000/v1.",
            param=f"{where}.address",
        )
    return text.rstrip("/")


def _wire(where: str, text: str) -> WireName:
    for wire in get_args(WireName):
        if text == wire:
            found: WireName = wire
            return found
    names = ", ".join(get_args(WireName))
    raise SettingsError(
        f"{where}.wire is {text!r:.60}, but there are {names}.", param=f"{where}.wire"
    )


def _variable(where: str, text: str) -> str:
    if not _VARIABLE.fullmatch(text) or text != text.upper():
        raise SettingsError(
            f"{where}.key must name an environment variable, such as EXAMPLE_API_KEY. The key "
            "itself does not belong into a file (what was given is not shown here).",
            param=f"{where}.key",
        )
    return text


def _manner(where: str, text: str) -> Manner:
    known = {name: host for name, host in known_hosts().items() if host.wire == "chat"}
    if text not in known:
        raise SettingsError(
            f"{where}.like is {text!r:.60}, but there are {', '.join(known)}.",
            param=f"{where}.like",
        )
    return known[text].manner


def find_host(name: str, hosts: Mapping[str, Host]) -> Host:
    """The host of that name; `NotFoundError` suggests near names."""
    if name in hosts:
        return hosts[name]
    raise NotFoundError(
        f"There is no host {name!r:.60} of models. {meant(name, hosts, most=2)} Others are added "
        "in kataribe.toml as [providers.NAME].",
        param="model",
    )


def find_key(host: Host, environ: Mapping[str, str]) -> str | None:
    """The host's key; `AccessError` naming the variable when it needs one and none is set."""
    for variable in host.keys:
        key = environ.get(variable, "").strip()
        if not key:
            continue
        if not key.isascii() or not key.isprintable():
            raise AccessError(
                f"{variable} holds something that cannot be a key: it has characters that no "
                "header may carry. Set it anew (it is not shown here)."
            )
        return key
    if host.needs_key:
        variables = " or ".join(host.keys)
        raise AccessError(
            f"{host.name} needs a key, and {variables} is not set. Set it in the environment: "
            f"export {host.keys[0]}=..."
        )
    return None


def key_source(host: Host) -> str:
    """Where the key comes from, for a person whose key was refused."""
    if not host.keys:
        return ""
    return f"(The key for {host.name} comes from {' or '.join(host.keys)}.)"
