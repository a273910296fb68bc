"""What kind of file a name stands for."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["code", "html", "markdown", "rst", "manual", "lines", "parquet", "text", "none"]

_CODE = frozenset(
    [
        "py",
        "pyi",
        "pyx",
        "pxd",
        "c",
        "h",
        "cc",
        "cpp",
        "cxx",
        "hpp",
        "hh",
        "cs",
        "java",
        "kt",
        "kts",
        "scala",
        "go",
        "rs",
        "rb",
        "php",
        "pl",
        "pm",
        "lua",
        "r",
        "jl",
        "swift",
        "m",
        "mm",
        "ts",
        "tsx",
        "js",
        "jsx",
        "mjs",
        "cjs",
        "vue",
        "svelte",
        "css",
        "scss",
        "sql",
        "sh",
        "bash",
        "zsh",
        "fish",
        "ps1",
        "bat",
        "cmake",
        "f",
        "f90",
        "f95",
        "hs",
        "ml",
        "mli",
        "fs",
        "fsx",
        "clj",
        "cljs",
        "lisp",
        "el",
        "scm",
        "ex",
        "exs",
        "erl",
        "hrl",
        "dart",
        "nim",
        "zig",
        "d",
        "pas",
        "vb",
        "v",
        "vhd",
        "vhdl",
        "asm",
        "s",
        "awk",
        "tcl",
        "groovy",
        "gradle",
        "proto",
        "thrift",
        "tf",
        "cu",
        "cuh",
        "glsl",
        "ipynb_py",
    ]
)
_CODE_NAMES = frozenset({"makefile", "dockerfile", "containerfile", "rakefile", "cmakelists.txt"})
_NOT_TEXT = frozenset(
    [
        "png",
        "jpg",
        "jpeg",
        "gif",
        "webp",
        "bmp",
        "ico",
        "tif",
        "tiff",
        "pdf",
        "ps",
        "eps",
        "mp3",
        "mp4",
        "ogg",
        "wav",
        "flac",
        "avi",
        "mov",
        "mkv",
        "webm",
        "ttf",
        "otf",
        "woff",
        "woff2",
        "eot",
        "so",
        "a",
        "o",
        "dll",
        "exe",
        "dylib",
        "bin",
        "dat",
        "db",
        "sqlite",
        "pyc",
        "pyo",
        "class",
        "jar",
        "war",
        "whl",
        "egg",
        "npy",
        "npz",
        "pkl",
        "pickle",
        "pt",
        "pth",
        "safetensors",
        "gguf",
        "onnx",
        "h5",
        "7z",
        "rar",
        "iso",
        "img",
        "deb",
        "rpm",
        "mo",
        "gmo",
    ]
)
_DATA = frozenset(
    [
        "json",
        "csv",
        "tsv",
        "xml",
        "svg",
        "map",
        "lock",
        "po",
        "pot",
        "ipynb",
        "inv",
        "toc",
        "geojson",
    ]
)
_MANUAL = re.compile(r".+\.[1-9][a-z0-9]{0,3}")
_BY_ENDING: dict[str, Kind] = {
    "html": "html", "htm": "html", "xhtml": "html",
    "md": "markdown", "markdown": "markdown", "mdx": "markdown",
    "rst": "rst", "rest": "rst",
    "jsonl": "lines", "ndjson": "lines",
    "parquet": "parquet",
    "txt": "text", "text": "text",
}  # fmt: skip
WEB_ASSETS = (".js", ".css", ".mjs")
"""Scripts and styles of web pages, which packages of documentation carry."""


def kind_of(name: str) -> Kind:
    """The kind of a file by its name (without a `.gz`); `none` for what is no text.

    A name without a known ending counts as `text`; whether it is, its bytes tell.
    """
    last = name.replace("\\", "/").rpartition("/")[2].lower()
    ending = last.rpartition(".")[2] if "." in last else ""
    if last in _CODE_NAMES or ending in _CODE:
        return "code"
    if ending in _NOT_TEXT or ending in _DATA:
        return "none"
    if last.endswith(".rst.txt"):  # the sources that Sphinx puts beside its pages
        return "rst"
    found = _BY_ENDING.get(ending)
    if found is not None:
        return found
    return "manual" if _MANUAL.fullmatch(last) else "text"


def why_none(name: str) -> str:
    """Why a file of kind `none` is not read."""
    ending = name.rpartition(".")[2].lower()
    return f"data, not text (.{ending})" if ending in _DATA else f"not text (.{ending})"


def in_package(name: str) -> str | None:
    """Why a file of a Debian package is not read; None when it is.

    Documentation comes in several forms there, and the same text as HTML, as its source and as an
    Info file would be in training and validation at once: 40 % of the sampled windows of
    python3.11-doc were.
    """
    if name.endswith(WEB_ASSETS):
        return "script or style of a web page"
    if "/_sources/" in name or "/usr/share/info/" in f"/{name}" or ".devhelp" in name:
        return "the same text as the pages of HTML, in another form"
    return None
