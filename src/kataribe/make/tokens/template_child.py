"""The process that renders chat templates; started by `template_host`, never imported.

A template is a program by a stranger. Jinja's sandbox keeps it from Python's internals, but not
from looping for hours or building a string of a terabyte, and neither can be stopped from inside
a thread. So it runs here: the kernel ends this process when its CPU time is up, and refuses it
memory beyond its limit. Nothing of Kataribe's is imported, and the environment is empty.

Protocol, both ways: eight bytes of length (big-endian), then JSON. In: `{"source", "values"}`, or
without values to ask what the template reads; out: `{"text"}` or `{"names"}`, or `{"error"}` for
what the template itself did wrong.
"""

from __future__ import annotations

import json
import signal
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any, BinaryIO

import jinja2
import jinja2.ext
import jinja2.meta
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

LEAST_OUTPUT = 1 << 22
"""Characters that any template may write; with long messages, eight times what it was given."""

REFUSALS = (
    jinja2.TemplateError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Whatever a template can do wrong; anything else ends the process, which the host reports."""


class Generation(jinja2.ext.Extension):
    """`{% generation %}` marks the assistant's words for training; here they are just words."""

    tags = {"generation"}  # noqa: RUF012  # the attribute that jinja2 reads

    def parse(self, parser: Parser) -> nodes.Node:
        """The block's own content."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,  # templates pass it by position
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Plain JSON, as `transformers` has it; jinja2's own filter escapes for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: str) -> str:
    raise jinja2.TemplateError(message)


def _now(format: str) -> str:  # noqa: A002  # the name that templates use
    return datetime.now().astimezone().strftime(format)


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    return environment


@lru_cache(maxsize=32)
def _compiled(source: str) -> jinja2.Template:
    return _environment().from_string(source)


def _names(source: str) -> list[str]:
    """The variables that a template may read and does not set itself."""
    return sorted(jinja2.meta.find_undeclared_variables(_environment().parse(source)))


def _limit(memory: int, seconds: float) -> None:
    import resource  # not on Windows, where the host does not start

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _render(request: dict[str, Any], longest: int) -> dict[str, Any]:
    try:
        if "values" not in request:
            return {"names": _names(request["source"])}
        text = _compiled(request["source"]).render(**request["values"])
        if len(text) > longest:
            return {"error": f"it wrote {len(text)} characters; {longest} are allowed here"}
        return {"text": text}
    except jinja2.TemplateSyntaxError as error:
        return {"error": f"line {error.lineno}: {error.message}"}
    except MemoryError:
        return {"error": "it needed more memory than a template may have"}
    except REFUSALS as error:
        return {"error": str(error)[:1000] or type(error).__name__}


def _serve(source: BinaryIO, target: BinaryIO) -> None:
    memory, seconds = int(sys.argv[1]), float(sys.argv[2])
    _limit(memory, 0)
    while header := source.read(8):
        size = int.from_bytes(header)
        request = json.loads(source.read(size))
        # CPU time, not wall time: a busy machine must not make a good template fail.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        reply = json.dumps(_render(request, max(LEAST_OUTPUT, 8 * size))).encode()
        signal.setitimer(signal.ITIMER_PROF, 0)
        target.write(len(reply).to_bytes(8) + reply)
        target.flush()


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
