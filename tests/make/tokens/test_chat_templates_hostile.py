"""Hostile templates are stopped quickly, in bounded memory, from any thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import TemplateError
from kataribe.base.messages import text_message
from kataribe.make.tokens import ChatTemplate
from kataribe.make.tokens.template_host import TemplateHost

CHAT = [text_message("user", "Hi")]
HOSTILE = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% endfor %}{% endfor %}",
    "loops without a call": "{% set l = range(99999)|list %}{% for a in l %}{% for b in l %}"
    "{% endfor %}{% endfor %}",
    "a filter's loop": "{% set l = [range(99999)|list] * 99999 %}{{ l|map('sum')|sum }}",
    "a huge power": "{{ 10 ** (10 ** 10) }}",
    "a deep comparison": "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}"
    "{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}",
}
FAT = {
    "a long text": "{{ 'a' * 10000000000 }}",
    "doubling": "{% set n = namespace(a='xxxxxxxx') %}{% for i in range(60) %}"
    "{% set n.a = n.a ~ n.a %}{% endfor %}{{ n.a }}",
    "padding": "{{ 'x'|center(10000000000) }}",
    "format": "{{ '%10000000000d' % 1 }}",
    "a long list": "{{ [0] * 10000000000 }}",
    "a deep list as text": "{% set n = namespace(a=[1]) %}{% for i in range(60) %}"
    "{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}",
    "output": "{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
}
FORBIDDEN = {
    "a class": "{{ ''.__class__.__mro__ }}{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__ }}{{ raise_exception.__globals__['sys'] }}",
    "format's attributes": "{{ '{0.__class__.__mro__}'.format('') }}{{ x.y.z }}",
    "builtins": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import '/etc/passwd' as x %}",
    "extends": "{% extends '/etc/passwd' %}",
    "changing": "{% set _ = messages.append(1) %}",
    "a long range": "{% for i in range(10 ** 9) %}{% endfor %}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "syntax": "{% for %}",
    "an unknown filter": "{{ 1|nothing }}",
    "no such name": "{{ nothing.at.all }}",
    "division": "{{ 1 / 0 }}",
    "its own refusal": "{{ raise_exception('roles must alternate') }}",
}


@pytest.fixture(scope="module")
def host() -> Any:
    """A host with short limits, so that each hostile template costs half a second."""
    host = TemplateHost(seconds=0.4, memory=256 << 20)
    yield host
    host.close()


@pytest.mark.parametrize("name", [*HOSTILE, *FAT])
def test_hostile_templates_are_stopped(name: str, host: TemplateHost) -> None:
    with pytest.raises(TemplateError):
        host.render((HOSTILE | FAT)[name], {"messages": [1]})
    assert host.render("{{ 6 * 7 }}", {}) == "42"


@pytest.mark.parametrize("name", list(FORBIDDEN))
def test_templates_do_not_reach_out(name: str) -> None:
    with pytest.raises(TemplateError, match="chat template failed"):
        ChatTemplate(FORBIDDEN[name]).render(CHAT)


def test_an_output_out_of_all_proportion_is_refused(host: TemplateHost) -> None:
    with pytest.raises(TemplateError, match="5000000 characters"):
        host.render("{{ 'a' * 5000000 }}", {})
    long = "a" * 5_000_000
    assert host.render("{{ text }}", {"text": long}) == long


def test_the_limit_is_named(host: TemplateHost) -> None:
    with pytest.raises(TemplateError, match=r"0\.4 s of CPU time"):
        host.render(HOSTILE["nested loops"], {})


def test_a_template_is_stopped_from_any_thread(host: TemplateHost) -> None:
    found: list[Exception | str] = []

    def run(source: str) -> None:
        try:
            found.append(host.render(source, {}))
        except TemplateError as error:
            found.append(error)

    sources = [HOSTILE["nested loops"], "{{ 1 }}", "{{ 1 }}", FORBIDDEN["syntax"]]
    threads = [threading.Thread(target=run, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(type, found), key=str) == [TemplateError, TemplateError, str, str]


def test_the_environment_of_the_template_is_empty(
    host: TemplateHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    fresh = TemplateHost()
    assert fresh.render("{{ strftime_now('%Y') | length }}", {}) == "4"
    child = fresh._child
    assert child is not None
    assert b"secret" not in Path(f"/proc/{child.pid}/environ").read_bytes()
    fresh.close()


def test_many_are_rendered_in_order_each_within_the_limits(host: TemplateHost) -> None:
    numbered = [("{{ n }}" + "x" * 2000, {"n": n, "long": "y" * 5000}) for n in range(300)]
    found = host.render_many(numbered)  # far more than the pipes hold
    assert [text[:-2000] for text in found] == [str(n) for n in range(300)]
    with pytest.raises(TemplateError, match="line 1"):
        host.render_many([*numbered[:3], ("{{", {}), *numbered[:3]])
    assert host.render("{{ a }}", {"a": 1}) == "1"  # no reply of those is left
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(TemplateError, match="CPU time"):
        host.render_many([*numbered, (endless, {}), *numbered])
    assert host.render_many(numbered[:2]) == found[:2]
    assert host.render_many([]) == []


def test_a_killed_host_comes_back(host: TemplateHost) -> None:
    assert host.render("{{ 1 }}", {}) == "1"
    assert host._child is not None
    host._child.kill()
    host._child.wait()
    assert host.render("{{ 2 }}", {}) == "2"
