"""Hosted models as `LM`s, and the scripted `LM` that tests and examples use."""

from kataribe.run.providers.connections import Connections, Patience
from kataribe.run.providers.failures import answered_error
from kataribe.run.providers.hosted import HostedLM, open_hosted
from kataribe.run.providers.hosts import Host, known_hosts, parse_hosts
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from kataribe.run.providers.scripted_tokens import ScriptedTokenizer

__all__ = [
    "Call",
    "Connections",
    "Host",
    "HostedLM",
    "Patience",
    "Reply",
    "ScriptedLM",
    "ScriptedTokenizer",
    "answered_error",
    "known_hosts",
    "open_hosted",
    "parse_hosts",
]
