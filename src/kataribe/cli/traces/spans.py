"""Spans as JSON, with the names that OpenTelemetry's GenAI conventions give their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kataribe.prove.ops.ledger import Span

OPERATIONS = {"lm": "chat", "tool": "execute_tool", "step": "step", "guard": "guard"}
"""`gen_ai.operation.name` of each kind; the last two are ours."""


def as_mapping(span: Span) -> dict[str, Any]:
    """A span: ids as W3C Trace Context writes them, times in nanoseconds since 1970."""
    began = int(span.began * 1e9)
    named = "gen_ai.tool.name" if span.kind == "tool" else "gen_ai.request.model"
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": OPERATIONS[span.kind],
        named: span.name if span.kind in ("lm", "tool") else None,
        "gen_ai.conversation.id": span.conversation,
        "gen_ai.usage.input_tokens": span.total.prompt_tokens,
        "gen_ai.usage.output_tokens": span.total.completion_tokens,
        "gen_ai.response.finish_reasons": [span.reason] if span.kind == "lm" else None,
        "error.type": span.error,
        "user.id": span.user,
        "kataribe.cached_tokens": span.total.cached_tokens,
        "kataribe.calls": span.total.steps,
        "kataribe.dollars": span.total.dollars,
        "kataribe.unpriced_calls": span.total.unpriced,
        "kataribe.own_input_tokens": span.own.prompt_tokens,
        "kataribe.own_output_tokens": span.own.completion_tokens,
        "kataribe.own_dollars": span.own.dollars,
        "kataribe.queue_seconds": span.queue,
        "kataribe.first_seconds": span.first,
        "kataribe.exact": span.exact,
    }
    return {
        "traceId": span.trace,
        "spanId": span.id,
        "parentSpanId": span.parent,
        "name": f"{OPERATIONS[span.kind]} {span.name}",
        "startTimeUnixNano": began,
        "endTimeUnixNano": began + int(span.whole * 1e9),
        "attributes": {name: value for name, value in attributes.items() if value is not None},
    }
