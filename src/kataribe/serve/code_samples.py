"""Programs that ask a model of this server, to be copied: curl, Python, the openai client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from kataribe.serve.shapes.catalog import Sample

KEY = "KATARIBE_KEY"
"""Environment variable that the programs take a key from."""

_TEXT = "Say hello in one short sentence."

Ask: TypeAlias = Literal["chat", "base", "embed", "classify"]


@dataclass(frozen=True, slots=True)
class _Way:
    """How a model is asked.

    Attributes:
        path: Behind the server's address.
        body: Fields beside the model's name.
        taken: What of the answer's JSON is printed.
        call: The client's function; empty where OpenAI's has none.
    """

    path: str
    body: Mapping[str, Any]
    taken: tuple[str | int, ...]
    call: str = ""


_WAYS: Mapping[Ask, _Way] = {
    "chat": _Way(
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": _TEXT}], "max_tokens": 100},
        ("choices", 0, "message", "content"),
        "chat.completions.create",
    ),
    "base": _Way(
        "/v1/completions",
        {"prompt": "Once upon a time", "max_tokens": 100},
        ("choices", 0, "text"),
        "completions.create",
    ),
    "embed": _Way(
        "/v1/embeddings",
        {"input": "Where is the library?"},
        ("data", 0, "embedding"),
        "embeddings.create",
    ),
    "classify": _Way("/v1/classify", {"input": "Where is the library?"}, ("data", 0)),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the programs ask.

    Attributes:
        address: The server's, without a slash at the end.
        model: The model's name.
        use: How it is asked: in messages, with a text to go on with, for vectors, for labels.
        key: A key is needed.
    """

    address: str
    model: str
    use: Ask
    key: bool


def code_samples(asked: Asked) -> list[Sample]:
    """One program of each kind; none of OpenAI's client for what it cannot ask."""
    samples = [
        Sample(language="curl", code=_curl(asked)),
        Sample(language="python", code=_python(asked)),
    ]
    if _WAYS[asked.use].call:
        samples.append(Sample(language="openai", code=_openai(asked)))
    return samples


def _path(asked: Asked) -> str:
    return _WAYS[asked.use].path


def _body(asked: Asked) -> dict[str, Any]:
    return {"model": asked.model, **_WAYS[asked.use].body}


def _curl(asked: Asked) -> str:
    body = json.dumps(_body(asked), ensure_ascii=False).replace("'", "'\\''")
    key = f'  -H "Authorization: Bearer ${KEY}" \\\n' if asked.key else ""
    return (
        f"curl {asked.address}{_path(asked)} \\\n"
        '  -H "Content-Type: application/json" \\\n'
        f"{key}"
        f"  -d '{body}'\n"
    )


def _python(asked: Asked) -> str:
    imports = "import json\nimport os\n" if asked.key else "import json\n"
    key = f', "Authorization": f"Bearer {{os.environ[{KEY!r}]}}"' if asked.key else ""
    taken = "".join(f"[{json.dumps(step)}]" for step in _WAYS[asked.use].taken)
    fields = "".join(f"    {name!r}: {value!r},\n" for name, value in _body(asked).items())
    return (
        f"{imports}from urllib.request import Request, urlopen\n"
        "\n"
        f"body = {{\n{fields}}}\n"
        "request = Request(\n"
        f"    {asked.address + _path(asked)!r},\n"
        "    data=json.dumps(body).encode(),\n"
        f'    headers={{"Content-Type": "application/json"{key}}},\n'
        ")\n"
        "with urlopen(request) as answer:\n"
        f"    print(json.load(answer){taken})\n"
    )


def _openai(asked: Asked) -> str:
    key = f"os.environ[{KEY!r}]" if asked.key else "'none'"
    imports = "import os\n\n" if asked.key else ""
    way = _WAYS[asked.use]
    taken = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way.taken)
    fields = "".join(f"    {name}={value!r},\n" for name, value in _body(asked).items())
    return (
        f"{imports}from openai import OpenAI\n"
        "\n"
        f"client = OpenAI(base_url={asked.address + '/v1'!r}, api_key={key})\n"
        f"reply = client.{way.call}(\n{fields})\n"
        f"print(reply{taken})\n"
    )
