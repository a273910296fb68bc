"""Which tokens end a reply. Files name one or two of theirs; the texts tell the others."""

from __future__ import annotations

from collections.abc import Mapping

END_TEXTS = frozenset(
    {
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
        "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
        "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
        "<｜end▁of▁sentence｜>", "[e~[",
    }
)  # fmt: skip
"""As in llama.cpp (`special_eog_ids`), but for `</s>`, which also is HTML's struck-out text."""


def known_ends(control: Mapping[str, int]) -> frozenset[int]:
    """The ids among control tokens (text to id) whose text says that they end a reply."""
    ends = {text for text in (*END_TEXTS, "</s>") if text in control}
    if {"<|return|>", "<|call|>"} <= control.keys():
        ends.discard("<|end|>")  # in OpenAI's harmony format it ends a message, not the turn
    return frozenset(control[text] for text in ends)
