"""What the `tokenizers` library refuses, told as our own error."""

from __future__ import annotations

from types import TracebackType

from kataribe.base.errors import FormatError


class Refusals:
    """Inside its block, the bare `Exception`s (and Rust panics) of `tokenizers` are `FormatError`s.

    The library has no exception classes of its own; an error of any other type passes unchanged.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Turns the library's refusal into a `FormatError` that names the subject."""
        if kind is None or error is None:
            return
        if kind is Exception or kind.__name__ == "PanicException":
            raise FormatError(
                f"{self._subject} holds a tokenizer that cannot be built: {error}."
            ) from error
