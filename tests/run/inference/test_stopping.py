"""Stop strings against a naive search, however the text is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from kataribe.base.events import TokenLogprob
from kataribe.run.inference.reply import ReplyText
from kataribe.run.inference.stopping import StopMatcher

texts = st.text(alphabet="abc\N{GRINNING FACE}\N{HIRAGANA LETTER A}", max_size=30)
stops = st.lists(st.text(alphabet="abc\N{HIRAGANA LETTER A}", min_size=1, max_size=5), max_size=4)


def naive(text, stops):
    """The text before the stop string that is complete first; of several, the longest."""
    for place in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:place].endswith(stop)]
        if found:
            longest = max(found, key=len)
            return text[: place - len(longest)], longest
    return text, None


def pieces(text, cuts):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@given(texts, stops, st.lists(st.integers(0, 30), max_size=8))
@example("aabaabc", ["aabc", "abaa"], [3])
@example("abcd", ["abcd", "bc"], [])
def test_what_comes_out_is_what_a_search_finds(text, stops, cuts):
    matcher = StopMatcher(stops)
    out, read = "", ""
    for piece in pieces(text, cuts):
        out += matcher.push(piece)
        read += piece
        expected, found = naive(read, stops)
        assert matcher.matched == found
        # Nothing is let out that could turn out to belong to a stop string, and nothing else
        # is held back.
        if found is None:
            held = read[len(out) :]
            starts = [
                k for k in range(1, len(read) + 1) if any(s.startswith(read[-k:]) for s in stops)
            ]
            assert out + held == read
            assert len(held) == max(starts, default=0)
        else:
            assert out == expected
    assert out + matcher.finish() == naive(text, stops)[0]


def test_nothing_follows_a_match():
    matcher = StopMatcher(["b"])
    assert matcher.push("ab") == "a"
    assert matcher.push("more") == ""
    assert matcher.finish() == ""


class Letters:
    """A decoder: each token is a text of its own."""

    def __init__(self, texts, rest=""):
        self.texts, self.rest = texts, rest

    def push(self, token):
        return self.texts[token]

    def finish(self):
        return self.rest


def _run(decoder, stops):
    reply = ReplyText(decoder, stops)
    out, tokens = "", []
    for token in range(len(decoder.texts)):
        text, logprobs = reply.push(token, TokenLogprob(token, "", b"", -1.0))
        out += text
        tokens += [each.token_id for each in logprobs]
        if reply.stop is not None:
            break
    text, logprobs = reply.finish()
    assert reply.text == out + text
    return out + text, tokens + [each.token_id for each in logprobs], reply.stop


@given(st.lists(st.text(alphabet="ab", max_size=3), max_size=8), stops)
def test_log_probabilities_go_with_the_tokens_whose_text_is_out(texts, stops):
    out, tokens, stop = _run(Letters(texts), stops)
    expected, found = naive("".join(texts), stops)
    assert (out, stop) == (expected, found)
    starts = [len("".join(texts[:k])) for k in range(len(texts))]
    if stop is None:
        assert tokens == list(range(len(texts)))
    else:
        assert [k for k in range(len(texts)) if texts[k] and starts[k] < len(out)] == [
            k for k in tokens if texts[k]
        ]


def test_a_stop_string_completed_by_the_decoders_rest_is_found():
    assert _run(Letters(["a", "b"], rest="\ufffd"), ["b\ufffd"]) == ("a", [0], "b\ufffd")
