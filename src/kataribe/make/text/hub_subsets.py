"""Which files of a data set of the hub are meant: `OWNER/NAME[:CONFIG][@SPLIT][#COLUMN]`.

Configurations are those of the README's front matter (`configs:`, as the hub documents them), or
folders where it has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.make.text.hub_patterns import Pattern

ENDINGS = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt")
FORM = "hf:OWNER/NAME[:CONFIG][@SPLIT][#COLUMN]"
_SHOWN = 40
"""Names in an error."""
_REFERENCE = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
    r"(:(?P<config>[\w.+-]+))?(@(?P<split>[\w.+-]+))?(#(?P<column>.+))?"
)
_FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---\s*(\n|\Z)", re.DOTALL)
_MOST_FRONT = 2 << 20
"""Characters of a front matter: 2,000 configurations with two patterns each take 300,000, and are
read in 2 s of a busy core."""
_MOST_FILES = 100_000
"""Names and patterns in `data_files` of one configuration; aliases of YAML multiply them."""
_MOST_PATTERNS = 1000
"""Of these with a `*`, `?` or `[`: each is held against every file."""
_SPLIT_WORDS = ("train", "validation", "valid", "dev", "test")


@dataclass(frozen=True, slots=True)
class DataSetName:
    """A data set, and which part of it."""

    repository: str
    """`OWNER/NAME`."""
    config: str = ""
    """The configuration (the hub says subset too); empty for the data set's own choice. A word that
    is no configuration but a split means the split."""
    split: str = ""
    """The split; empty for `train`."""
    column: str = ""
    """The field with the text; empty for the one that is chosen for all sources."""

    @classmethod
    def parse(cls, reference: str) -> DataSetName:
        """What follows `hf:`; `InputError` for another form."""
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise InputError(f"hf:{reference} names no data set; write {FORM}.", param="source")
        return cls(**{name: value or "" for name, value in found.groupdict().items()})


def chosen_files(name: DataSetName, files: Sequence[str], readme: str) -> list[str]:
    """The files that are meant, sorted.

    Args:
        name: What is asked for.
        files: All files of the repository.
        readme: Its README.md; empty where it has none.

    Raises:
        NotFoundError: The repository holds no file that can be read.
        InputError: It has no such configuration or split, or several configurations and none that
            it prefers; the message names them.
        FormatError: The README is too long, or gives patterns that are not read (`Pattern`).
    """
    texts = sorted(each for each in files if each.lower().endswith(ENDINGS))
    if not texts:
        raise NotFoundError(
            f"The data set {name.repository} holds no {', '.join(ENDINGS)} file "
            f"(but: {', '.join(files[:10])}).",
            param="source",
        )
    told = _configs(readme)
    if told:
        return _of_config(name, told, texts)
    folders = sorted({part for each in texts for part in each.split("/")[:-1]})
    wanted, split = name.config, name.split
    if wanted and wanted not in folders:
        if split or wanted not in _by_split(texts):
            known = [each for each in folders if each != "data"]
            raise _no_config(name, wanted, known, _by_split(texts))
        wanted, split = "", wanted
    if wanted:
        texts = [each for each in texts if wanted in each.split("/")[:-1]]
    return _of_split(name, split, _by_split(texts))


def _of_config(name: DataSetName, told: Mapping[str, Any], texts: list[str]) -> list[str]:
    """The files that the README's front matter gives to a configuration and a split."""
    wanted, split = name.config, name.split
    if wanted not in told:
        preferred = [each for each, entry in told.items() if _text(entry, "default") == "true"]
        preferred += ["default"] if "default" in told else []
        own = preferred[0] if preferred else next(iter(told)) if len(told) == 1 else None
        splits = {} if own is None else _splits(told[own], texts)
        if wanted and (split or wanted not in splits):
            raise _no_config(name, wanted, list(told), splits)
        if own is None:
            raise InputError(
                f"The data set {name.repository} has several configurations: "
                f"{', '.join(list(told)[:_SHOWN])}. "
                f"Name one: hf:{name.repository}:CONFIG.",
                param="source",
            )
        wanted, split = own, wanted or split
    return _of_split(name, split, _splits(told[wanted], texts))


def _of_split(name: DataSetName, split: str, by_split: Mapping[str, list[str]]) -> list[str]:
    wanted = split or "train"
    if by_split.get(wanted):
        return by_split[wanted]
    if not split and list(by_split) == [""]:  # files without splits: all of them
        return by_split[""]
    known = ", ".join(sorted(each for each in by_split if each)) or "none"
    part = f":{name.config}" if name.config and name.config != wanted else ""
    raise InputError(
        f"The data set {name.repository}{part} has no split {wanted!r}; it has: {known}. Name one: "
        f"hf:{name.repository}{part}@SPLIT.",
        param="source",
    )


def _by_split(texts: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in texts:
        found.setdefault(_split_of(each), []).append(each)
    return found


def _split_of(name: str) -> str:
    """`train` of `data/train-00000-of-00002.parquet`, `en/train/0.parquet` or `my_train.jsonl`."""
    for part in reversed(name.lower().split("/")):
        for word in re.split(r"[-_.]", part):
            if word in _SPLIT_WORDS:
                return word
    stem = re.match(r"(.+?)-\d{5}-of-\d{5}", name.rpartition("/")[2])
    return stem.group(1) if stem else ""


def _configs(readme: str) -> dict[str, Mapping[str, Any]]:
    """Name to entry of the configurations in a README's front matter; none where it has none."""
    front = _FRONT.match(readme.lstrip("\ufeff"))
    if front is None:
        return {}
    if len(front.group(1)) > _MOST_FRONT:
        raise FormatError(
            f"The README of the data set begins with {len(front.group(1)):,} characters of "
            f"settings; at most {_MOST_FRONT:,} are read. Download its files and name their folder."
        )
    import yaml

    try:  # Every value as it is written: no dates that there are not, no numbers for names. Merged
        # keys (`<<`), which can double at every step, are none to this loader.
        told = yaml.load(front.group(1), yaml.BaseLoader)  # noqa: S506 - makes texts alone
    except (yaml.YAMLError, RecursionError):
        return {}  # the hub shows such a page, too: its files still lie there
    entries = told.get("configs") if isinstance(told, Mapping) else None
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("config_name", ""), str):
            continue
        if _text(entry, "data_dir") or _told(entry.get("data_files")):
            found[_text(entry, "config_name") or "default"] = entry
    return found


def _text(entry: Mapping[str, Any], name: str) -> str:
    """A setting that is a text; empty where it is none, or null."""
    value = entry.get(name)
    return value if isinstance(value, str) and _told(value) else ""


def _told(value: Any) -> bool:
    """There is something, and not YAML's word for nothing."""
    return bool(value) and value not in ("null", "~")


def _splits(entry: Mapping[str, Any], texts: list[str]) -> dict[str, list[str]]:
    """Split to files of one configuration."""
    root = _text(entry, "data_dir").strip("./")
    prefix = f"{root}/" if root else ""
    if not _told(entry.get("data_files")):
        return _by_split([each for each in texts if each.startswith(prefix)])
    found: dict[str, set[str]] = {}
    there, patterns = set(texts), 0
    for split, path in dict.fromkeys(_patterns(entry["data_files"])):
        files = found.setdefault(split, set())
        wanted = prefix + path.removeprefix("./")
        if wanted in there:
            files.add(wanted)
        elif any(letter in wanted for letter in "*?[{"):
            patterns += 1
            if patterns > _MOST_PATTERNS:
                raise _too_many(f"more than {_MOST_PATTERNS:,} patterns")
            pattern = Pattern(wanted)
            files.update(each for each in texts if pattern.matches(each))
    return {split: sorted(files) for split, files in found.items()}


def _patterns(told: Any) -> Iterator[tuple[str, str]]:
    """(split, pattern) of `data_files`: a pattern, a list of them, or one entry for each split."""
    count = 0
    for entry in told if isinstance(told, list) else [told]:
        split, paths = "train", entry
        if isinstance(entry, Mapping):
            split, paths = _text(entry, "split") or "train", entry.get("path")
        for path in paths if isinstance(paths, list) else [paths]:
            count += 1
            if count > _MOST_FILES:
                raise _too_many(f"more than {_MOST_FILES:,} files")
            if isinstance(path, str):
                yield split, path


def _too_many(what: str) -> FormatError:
    return FormatError(
        f"The README of the data set names {what} for one configuration; so many are not read. "
        "Download its files and name their folder."
    )


def _no_config(
    name: DataSetName, wanted: str, configs: Iterable[str], splits: Iterable[str]
) -> InputError:
    known, parts = (", ".join(list(each)[:_SHOWN]) or "none" for each in (configs, sorted(splits)))
    return InputError(
        f"The data set {name.repository} has no configuration and no split {wanted!r}; it has the "
        f"configurations: {known}; splits: {parts}. Write {FORM}.",
        param="source",
    )
