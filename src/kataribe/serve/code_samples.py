"""Programs that ask a model of this server, to be copied: curl, Python, the openai client."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kataribe.serve.shapes.catalog import Sample

KEY = "KATARIBE_KEY"
"""Environment variable that the programs take a key from."""

_CHAT = "Say hello in one short sentence."
_TEXT = "Once upon a time"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the programs ask.

    Attributes:
        address: The server's, without a slash at the end.
        model: The model's name.
        chats: In messages; else a text is continued.
        key: A key is needed.
    """

    address: str
    model: str
    chats: bool
    key: bool


def code_samples(asked: Asked) -> list[Sample]:
    """One program of each kind."""
    return [
        Sample(language="curl", code=_curl(asked)),
        Sample(language="python", code=_python(asked)),
        Sample(language="openai", code=_openai(asked)),
    ]


def _path(asked: Asked) -> str:
    return "/v1/chat/completions" if asked.chats else "/v1/completions"


def _body(asked: Asked) -> dict[str, Any]:
    if asked.chats:
        messages = [{"role": "user", "content": _CHAT}]
        return {"model": asked.model, "messages": messages, "max_tokens": 100}
    return {"model": asked.model, "prompt": _TEXT, "max_tokens": 100}


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
    taken = '["message"]["content"]' if asked.chats else '["text"]'
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
        f'    print(json.load(answer)["choices"][0]{taken})\n'
    )


def _openai(asked: Asked) -> str:
    key = f"os.environ[{KEY!r}]" if asked.key else "'none'"
    imports = "import os\n\n" if asked.key else ""
    call = "chat.completions.create" if asked.chats else "completions.create"
    taken = "message.content" if asked.chats else "text"
    fields = "".join(f"    {name}={value!r},\n" for name, value in _body(asked).items())
    return (
        f"{imports}from openai import OpenAI\n"
        "\n"
        f"client = OpenAI(base_url={asked.address + '/v1'!r}, api_key={key})\n"
        f"reply = client.{call}(\n{fields})\n"
        f"print(reply.choices[0].{taken})\n"
    )
