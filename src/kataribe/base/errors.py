"""Every error that Kataribe raises, in one tree.

A message names the value, the limit and the way out. Only `cli` and `serve` turn an error into
one line or one JSON object; every other room lets it pass.

    KataribeError
    ├── InputError                what was asked cannot be done as asked (HTTP 400)
    │   ├── ContextLengthError        the prompt does not fit the model
    │   │   └── TextLengthError           nor does a text that vectors or labels are made of
    │   ├── UnsupportedError          the model or the server has no such ability
    │   ├── TemplateError             a chat template failed, looped or reached too far
    │   └── ConstraintError           a JSON schema, regular expression or grammar is invalid
    ├── NotFoundError             no such model, file or thing (HTTP 404)
    ├── AccessError               a key is missing or wrong (HTTP 401)
    ├── BusyError                 full for the moment; says when to try again (HTTP 429)
    ├── UnavailableError          not ready: loading, stopping, out of memory budget (HTTP 503)
    ├── ProviderError             somebody else's server failed or answered nonsense (HTTP 502)
    ├── FormatError               a file is corrupt, hostile or of an unknown kind
    │   ├── ChecksumError             a file is not the one that was expected
    │   └── ArchitectureError         a model of a family that Kataribe does not build
    ├── StorageError              the disk is full, or a file cannot be read or written
    ├── DownloadError             a source did not deliver
    ├── SettingsError             a setting is unknown or out of range
    └── PortInUseError            another program listens on that port
"""

from __future__ import annotations


class KataribeError(Exception):
    """Root of the tree.

    `code` is a stable word for programs; `param` names the offending field, when there is one.
    """

    code = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code


class InputError(KataribeError):
    """What was asked cannot be done as asked; asking differently helps."""

    code = "invalid_value"


class ContextLengthError(InputError):
    """A prompt (with the room asked for the reply) is longer than the model's context."""

    code = "context_length_exceeded"

    def __init__(
        self, prompt_tokens: int, limit: int, *, reply_tokens: int = 0, at_least: bool = False
    ) -> None:
        wanted = f"{'at least ' if at_least else ''}{prompt_tokens} tokens"
        if reply_tokens:
            wanted += f" and asks for {reply_tokens} more in the reply"
        super().__init__(
            f"The prompt has {wanted}, but the context holds {limit} tokens. "
            "Shorten the prompt, ask for a shorter reply, or load the model with a longer "
            "context (--ctx).",
            param="messages",
        )
        self.prompt_tokens = prompt_tokens
        self.reply_tokens = reply_tokens
        self.limit = limit


class TextLengthError(ContextLengthError):
    """A text is longer than a model of vectors or labels can read; it is never cut."""

    def __init__(self, tokens: int, limit: int, *, place: int, texts: int) -> None:
        super().__init__(tokens, limit)
        which = f"Text {place + 1} of {texts}" if texts > 1 else "The text"
        self.message = (
            f"{which} has {tokens} tokens with its prompt and its begin and end, but the model "
            f"reads at most {limit}. Split it into shorter pieces; nothing is cut off silently."
        )
        self.args = (self.message,)
        self.param = "input"
        self.place = place


class UnsupportedError(InputError):
    """The model or the server has no such ability; nothing is accepted and ignored."""

    code = "unsupported"


class TemplateError(InputError):
    """A chat template is invalid, ran too long, wrote too much or reached for the system."""

    code = "invalid_template"


class ConstraintError(InputError):
    """A JSON schema, regular expression or grammar cannot constrain a reply."""

    code = "invalid_constraint"


class NotFoundError(KataribeError):
    """There is no such model, file or thing."""

    code = "not_found"


class AccessError(KataribeError):
    """A key is missing or wrong."""

    code = "invalid_api_key"


class BusyError(KataribeError):
    """Everything is taken for the moment; `retry_after` says in how many seconds to ask again."""

    code = "queue_full"

    def __init__(self, message: str, *, retry_after: float, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.retry_after = retry_after


class UnavailableError(KataribeError):
    """Not ready (loading, stopping) or not possible within the memory budget."""

    code = "unavailable"

    def __init__(
        self, message: str, *, retry_after: float | None = None, param: str | None = None
    ) -> None:
        super().__init__(message, param=param)
        self.retry_after = retry_after


class ProviderError(KataribeError):
    """A hosted model's server failed, refused or answered what nobody can read."""

    code = "provider_error"


class FormatError(KataribeError):
    """A file is corrupt, truncated, hostile or of an unknown kind."""

    code = "invalid_file"


class ChecksumError(FormatError):
    """A file's checksum is not the expected one."""

    code = "checksum_mismatch"

    def __init__(self, name: str, *, expected: str, actual: str) -> None:
        super().__init__(
            f"{name} has sha256 {actual}, but {expected} was expected. The file is damaged or "
            "not the one that was meant; remove it and fetch it again."
        )
        self.expected = expected
        self.actual = actual


class ArchitectureError(FormatError):
    """A model belongs to a family that Kataribe does not build."""

    code = "unknown_architecture"


class StorageError(KataribeError):
    """The disk is full, or a file cannot be read or written."""

    code = "storage_error"


class DownloadError(KataribeError):
    """A source did not deliver; what arrived is kept and the next try continues from it."""

    code = "download_failed"


class SettingsError(KataribeError):
    """A setting is unknown or out of range."""

    code = "invalid_setting"


class PortInUseError(KataribeError):
    """Another program listens on the wanted port."""

    code = "port_in_use"
