"""Reads a model's settings out of a file, each with its type, and leaves none unread.

What a file says and nobody asked for could change the answer; `finish` refuses it by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kataribe.base.errors import FormatError

_REQUIRED = object()


class Fields:
    """Typed access to a mapping of settings.

    Args:
        source: What to call the file in errors, such as `config.json`.
        values: The settings; a JSON null counts as absent.
        prefix: Put before every asked name (GGUF's `llama.`).
        own_code: The folder brings code of its own, in which a setting that is false may switch
            something off that the family always has: `finish` then lets no unknown one pass.
    """

    def __init__(
        self,
        source: str,
        values: Mapping[str, Any],
        prefix: str = "",
        *,
        own_code: bool = False,
    ) -> None:
        self.source = source
        self._own_code = own_code
        self._values = values
        self._prefix = prefix
        self._read: set[str] = set()

    @property
    def filled(self) -> bool:
        """There is any setting."""
        return bool(self._values)

    def has(self, name: str) -> bool:
        """The setting is there and not null; a null one counts as read."""
        if self._values.get(self._prefix + name) is not None:
            return True
        self._read.add(self._prefix + name)
        return False

    def is_text(self, name: str) -> bool:
        """The setting is there, and a text."""
        return isinstance(self._values.get(self._prefix + name), str)

    def pass_over(self, names: Iterable[str]) -> None:
        """Takes note that these may say anything: no answer depends on them."""
        self._read.update(self._prefix + name for name in names)

    def integer(self, name: str, default: Any = _REQUIRED, *, alias: str = "") -> int:
        """A whole number of at least 0."""
        value = self._get(name, default, alias)
        if isinstance(value, float | np.floating) and float(value).is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            self._refuse(name, value, "a whole number of at least 0")
        return int(value)

    def optional_integer(self, name: str, default: int | None = None) -> int | None:
        """A whole number of at least 0; `default` where it is absent, None where it is null."""
        self._read.add(self._prefix + name)
        if self._prefix + name not in self._values:
            return default
        return self.integer(name) if self.has(name) else None

    def number(self, name: str, default: Any = _REQUIRED, *, alias: str = "") -> float:
        """Any number."""
        value = self._get(name, default, alias)
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            self._refuse(name, value, "a number")
        try:
            return float(value)
        except OverflowError:
            self._refuse(name, value, "a number that a float can hold")
            raise

    def optional_number(self, name: str, default: float | None = None) -> float | None:
        """Any number; `default` where it is absent, None where it is null."""
        self._read.add(self._prefix + name)
        if self._prefix + name not in self._values:
            return default
        return self.number(name) if self.has(name) else None

    def flag(self, name: str, *, default: Any = _REQUIRED) -> bool:
        """True or false."""
        value = self._get(name, default)
        if not isinstance(value, bool | np.bool_):
            self._refuse(name, value, "true or false")
        return bool(value)

    def text(self, name: str, default: Any = _REQUIRED, *, alias: str = "") -> str:
        """A string."""
        value = self._get(name, default, alias)
        if not isinstance(value, str):
            self._refuse(name, value, "a text")
        return str(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of numbers."""
        value = self._get(name, _REQUIRED)
        items = value.tolist() if isinstance(value, np.ndarray) else value
        if not isinstance(items, list | tuple) or not all(
            isinstance(item, int | float) and not isinstance(item, bool) for item in items
        ):
            self._refuse(name, value, "a list of numbers")
        return tuple(float(item) for item in items)

    def sequence(self, name: str) -> Sequence[Any]:
        """A list of anything."""
        value = self._get(name, _REQUIRED)
        items = value.tolist() if isinstance(value, np.ndarray) else value
        if not isinstance(items, list | tuple):
            self._refuse(name, value, "a list")
        return list(items)

    def table(self, name: str) -> Fields:
        """Nested settings; empty where they are absent."""
        value = self._get(name, {})
        if not isinstance(value, Mapping):
            self._refuse(name, value, "an object")
        return Fields(f"{self.source}, {name}", value, own_code=self._own_code)

    def mapping(self, name: str) -> dict[str, Any]:
        """An object whose names are not settings."""
        value = self._get(name, _REQUIRED)
        if not isinstance(value, Mapping):
            self._refuse(name, value, "an object")
        return {str(key): entry for key, entry in value.items()}

    def expect(self, name: str, allowed: Sequence[Any]) -> None:
        """Refuses a setting, where there is one, that is none of `allowed`."""
        value = self._get(name, allowed[0])
        if not any(value == known and type(value) is type(known) for known in allowed):
            words = " or ".join(map(repr, allowed))
            self._refuse(name, value, f"{words}; nothing else is built")

    def finish(self, neutral: Iterable[str] = (), prefixes: tuple[str, ...] = ()) -> None:
        """Refuses whatever was not read, but for names that cannot change the answer.

        `neutral` are such names and `prefixes` such beginnings. Settings that are null, false or
        empty switch nothing on and pass, but for folders with code of their own, where they may
        switch something off.
        """
        harmless = {self._prefix + name for name in neutral} | self._read
        for name, value in self._values.items():
            known = name in harmless or not name.startswith(self._prefix)
            off = _is_off(value) and not self._own_code
            if known or (prefixes and name.startswith(prefixes)) or off:
                continue
            if self._own_code:
                raise FormatError(
                    f"{self.source} sets {name!r} to {value!r:.60}, which this family does not "
                    "have: only the code that the folder brings along says what it means, and that "
                    "is never run here. Use a model without code of its own, or remove the setting "
                    "if it does not change what the model answers."
                )
            raise FormatError(
                f"{self.source} sets {name!r} to {value!r:.60}, which Kataribe does not know and "
                "which may change what the model answers. Remove the setting if it does not."
            )

    def _get(self, name: str, default: Any, alias: str = "") -> Any:
        for key in (name, alias):
            self._read.add(self._prefix + key)
            value = self._values.get(self._prefix + key) if key else None
            if value is not None:
                return value
        if default is _REQUIRED:
            raise FormatError(f"{self.source} lacks {self._prefix + name!r}, which a model needs.")
        return default

    def _refuse(self, name: str, value: Any, wanted: str) -> None:
        raise FormatError(
            f"{self.source}: {self._prefix + name} is {value!r:.80}; it must be {wanted}."
        )


def _is_off(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)
