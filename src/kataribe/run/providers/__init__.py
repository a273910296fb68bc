"""Hosted models as `LM`s, and the scripted `LM` that tests and examples use."""

from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from kataribe.run.providers.scripted_tokens import ScriptedTokenizer

__all__ = ["Call", "Reply", "ScriptedLM", "ScriptedTokenizer"]
