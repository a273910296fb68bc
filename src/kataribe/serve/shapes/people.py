"""Who is asking: sign-in, keys, preferences, storage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Incoming, Outgoing


class SignIn(Incoming):
    """A name and a password."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=1024)]


class Person(Outgoing):
    """A person with an account."""

    id: str
    name: str


class Me(Outgoing):
    """Who this browser is. `single`: one person, without any sign-in."""

    mode: Literal["single", "accounts"]
    person: Person | None = Field(description="null: nobody is signed in.")
    needs_key: bool = Field(description="The server was started with a key, and none came.")


class NewKey(Incoming):
    """Make an API key."""

    name: Annotated[str, Field(min_length=1, max_length=100)]


class ApiKey(Outgoing):
    """A key, by its first letters."""

    id: str
    name: str
    begins: str
    created_at: float
    used_at: float | None


class ApiKeyMade(ApiKey):
    """A new key: shown this once, kept only as a hash."""

    key: str


class ApiKeyList(Outgoing):
    """The person's keys, oldest first."""

    object: Literal["list"] = "list"
    data: list[ApiKey]


class SessionShown(Outgoing):
    """A browser that the person is signed in with."""

    id: str
    agent: str = Field(description="What the browser calls itself.")
    created_at: float
    seen_at: float = Field(description="Last used, to ten minutes.")
    current: bool = Field(description="It is the one that asks.")


class SessionList(Outgoing):
    """The person's sessions, the last used first."""

    object: Literal["list"] = "list"
    data: list[SessionShown]


class PasswordChange(Incoming):
    """A new password; ends every other session of the person."""

    current: Annotated[str, Field(min_length=1, max_length=1024)]
    new: Annotated[str, Field(min_length=1, max_length=1024)]


class Preferences(Outgoing):
    """What a person has set, by name; names and values are the studio's own."""

    values: dict[str, Any]


class PreferenceChange(Incoming):
    """Values to set; null removes one."""

    # What pydantic writes of the keys' pattern says nothing of keys that do not match it.
    values: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")], Any] = Field(
        json_schema_extra={"additionalProperties": False}
    )


class KeyState(Outgoing):
    """A key of a hosted model in the environment: whether it is set, never what it is."""

    name: str
    set: bool


class StorageShown(Outgoing):
    """The data folder; sizes in bytes."""

    folder: str
    database: int
    models: int
    downloads: int
    other: int
    free: int
    keys: list[KeyState]
