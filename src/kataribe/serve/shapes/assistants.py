"""Assistants of the studio: recipes shown, checked, written, tried and tested."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kataribe.serve.shapes.messages import ChatMessage
from kataribe.serve.shapes.strict import Incoming, Outgoing

MOST_TEXT = 1 << 18
"""Characters of a recipe."""

Approval = Literal["always", "ask", "never"]
_Name = Annotated[str, Field(min_length=1, max_length=128)]
_Text = Annotated[str, Field(max_length=MOST_TEXT, description="The recipe as YAML.")]


class TwoLanguages(Outgoing):
    """Words for people who read English or Japanese; the empty one is the other."""

    en: str = ""
    ja: str = ""


class RecipeProblem(Outgoing):
    """Something wrong with a recipe."""

    place: str = Field(description="As in `sampling.temprature`; empty for the whole.")
    message: str
    line: int | None = Field(description="Of the YAML, from 1; null where it stands nowhere.")


class NamedPart(Outgoing):
    """A technique or a tool."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    approval: Approval | None = None


class RecipeRule(Outgoing):
    """When a router's request goes to a model."""

    model: str
    words: list[str] = Field(default_factory=list)
    pattern: str = ""
    language: str = ""
    longer: int | None = None
    images: bool | None = None
    tools: bool | None = None


class RecipeRouter(Outgoing):
    """Several models, one of which is chosen for each request."""

    default: str
    rules: list[RecipeRule] = Field(default_factory=list)
    learned: str = ""
    among: list[str] = Field(default_factory=list)
    sure: float = 0.6


class RecipeSampling(Outgoing):
    """How tokens are drawn where the request says nothing."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float = 0.0
    repetition_penalty: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    max_tokens: int | None = None


class RecipeLimits(Outgoing):
    """What one reply may use."""

    steps: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    dollars: float | None = None


class RecipeTest(Outgoing):
    """A question, and what must hold of the reply."""

    ask: str
    contains: list[str] = Field(default_factory=list)
    lacks: list[str] = Field(default_factory=list)
    matches: str = ""
    json_of: dict[str, Any] | None = None


class RecipeFields(Outgoing):
    """What a recipe says, all fields filled in."""

    title: TwoLanguages = Field(default_factory=TwoLanguages)
    about: TwoLanguages = Field(default_factory=TwoLanguages)
    model: str = Field("", description="Empty for the server's default model.")
    router: RecipeRouter | None = None
    system: str = ""
    technique: NamedPart | None = None
    tools: list[NamedPart] = Field(default_factory=list)
    knowledge: list[str] = Field(
        default_factory=list,
        description="Files and folders of documents on the server's machine.",
    )
    approval: Approval = "ask"
    memory: bool = False
    guards: dict[str, Any] = Field(default_factory=dict)
    sampling: RecipeSampling = Field(default_factory=RecipeSampling)
    limits: RecipeLimits = Field(default_factory=RecipeLimits)
    starters: list[TwoLanguages] = Field(default_factory=list)
    tests: list[RecipeTest] = Field(default_factory=list)


class AssistantShown(Outgoing):
    """One assistant, as a list shows it."""

    name: str = Field(description="By which it is asked, like a model.")
    own: bool = Field(description="Of the workspace; otherwise it comes with Kataribe.")
    hides: bool = Field(description="One that comes with Kataribe has the same name.")
    tag: str = Field(description="Changes with its text; sent back as If-Match.")
    title: TwoLanguages
    about: TwoLanguages
    models: list[str] = Field(description="Empty for the server's default model.")
    router: bool
    technique: str | None
    tools: list[str]
    memory: bool
    guards: list[str]
    starters: list[TwoLanguages]
    tests: int = Field(description="How many it has.")
    problem: RecipeProblem | None = Field(description="Why it cannot be asked, where it cannot.")


class AssistantList(Outgoing):
    """By name, own ones in the place of those that they hide."""

    object: Literal["list"] = "list"
    data: list[AssistantShown]
    default_model: str = Field(description="Of those that name none.")


class AssistantDetail(Outgoing):
    """One assistant with its recipe."""

    assistant: AssistantShown
    text: str = Field(description="The recipe as YAML.")
    fields: RecipeFields | None = Field(description="Null where the recipe cannot be read.")
    problems: list[RecipeProblem]


class AssistantRemoved(Outgoing):
    """Which assistant was deleted; it can be brought back for a week."""

    name: str


class RecipeChecked(Outgoing):
    """What a recipe says that is not saved, and all that is wrong with it."""

    text: str
    fields: RecipeFields | None
    problems: list[RecipeProblem]


class PutAssistant(Incoming):
    """Write a recipe under a name."""

    text: _Text


class CopyAssistant(Incoming):
    """Make one of one's own that begins like this one."""

    to: _Name


class CheckRecipe(Incoming):
    """Look at a recipe without saving it.

    With `fields`, as a form has them, the text is first made to say them; what a form leaves alone
    stays in it as it was typed.
    """

    name: _Name = "recipe"
    text: _Text
    fields: dict[str, Any] | None = None


class PreviewRecipe(Incoming):
    """Talk with a recipe that is not saved; nothing of it is kept."""

    name: _Name = "recipe"
    text: _Text
    messages: list[ChatMessage] = Field(min_length=1)


class TestRecipe(Incoming):
    """Ask the questions under `tests:` and look at the replies."""

    __test__ = False  # no test of pytest's

    name: _Name = "recipe"
    text: _Text


class TestResult(Outgoing):
    """How one test of a recipe went."""

    __test__ = False

    number: int = Field(description="From 0, in the order of the recipe.")
    ask: str
    reply: str
    failed: list[str] = Field(description="What did not hold; empty where all did.")


class ToolOption(Outgoing):
    """An option of a tool."""

    name: str
    kind: Literal["text", "switch"]
    needed: bool


class ToolChoiceShown(Outgoing):
    """A tool that a recipe can name."""

    name: str
    about: str
    approval: Approval = Field(description="Where the recipe says nothing.")
    reaches: bool = Field(
        description="It reads this machine's own files or addresses: where people have accounts, "
        "only the recipe's file can name it."
    )
    options: list[ToolOption]


class TechniqueOffered(Outgoing):
    """A technique that a recipe can name."""

    name: str
    about: str
    options: dict[str, Any] = Field(description="With their defaults; null where one is needed.")


class GuardChoice(Outgoing):
    """A guard that a recipe can switch on."""

    name: str
    about: str
    side: Literal["in", "out"]
    standard: bool = Field(description="`standard: true` switches it on.")
    options: list[str]


class ModelChoice(Outgoing):
    """Who can answer."""

    name: str
    assistant: bool


class RecipeChoices(Outgoing):
    """What a recipe can be made of."""

    tools: list[ToolChoiceShown]
    techniques: list[TechniqueOffered]
    guards: list[GuardChoice]
    models: list[ModelChoice]
    default_model: str
