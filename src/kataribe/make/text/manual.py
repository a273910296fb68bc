"""Manual pages: roff with the man and mdoc macros, to plain text."""

from __future__ import annotations

import re

_MARK = re.compile(r"[.'][ \t]*(?:TH|Dd|SH|so)\b")
_HEAD = re.compile(r"[.'\\]|[ \t]*$")
"""Lines before the mark: requests, macros, comments (some lack their dot), braces, nothing."""
_LONGEST_HEAD = 64_000
"""Characters, definitions and licences among them: those of Pod::Man's pages have 5,000."""
_DEFINES = frozenset({"de", "de1", "dei", "am", "am1", "ami", "ig"})
_ESCAPE = re.compile(
    r"\\(?:"
    r"f(?:\[[^\]]*\]|\(..|.)"  # fonts
    r"|s[-+]?(?:\(\d\d|\d{1,2})"  # sizes
    r"|m\[[^\]]*\]"  # colours
    r"|\((?P<two>..)"
    r"|\[(?P<long>[^\]]*)\]"
    r"|\*(?:\((?P<string>..)|\[(?P<named>[^\]]*)\]|.)"
    r"|[hvwbxo]'[^']*'"
    r"|(?P<one>.)"
    r")"
)
_CHARACTERS = {
    "em": "—", "en": "–", "hy": "-", "bu": "•", "aq": "'", "dq": '"', "lq": "“", "rq": "”",
    "oq": "‘", "cq": "’", "co": "©", "rg": "®", "tm": "™", "ha": "^", "ti": "~", "rs": "\\",
    "la": "<", "ra": ">", "at": "@", "ga": "`", "mu": "×", "->": "→", "<-": "←", "+-": "±",
    "<=": "≤", ">=": "≥", "!=": "≠", "bv": "|", "ba": "|", "sh": "#", "Do": "$", "lB": "[",
    "rB": "]", "lC": "{", "rC": "}", "mi": "-", "pl": "+", "eq": "=", "de": "°", "ss": "ß",
    "R": "®", "Tm": "™", "C`": '"', "C'": '"', "Lq": "“", "Rq": "”", 'L"': "“", 'R"': "”",
    "C+": "C++", "--": "—",
}  # fmt: skip
_SINGLE = {"-": "-", "e": "\\", "&": "", " ": " ", "~": " ", "0": " ", "|": "", "^": "", "/": "",
           ",": "", "%": "", ":": "", "c": "", "'": "'", "`": "`", "t": "\t", ".": "."}  # fmt: skip
_JOINED = frozenset({"BR", "BI", "IB", "IR", "RB", "RI"})
_TEXT = frozenset({"B", "I", "SB", "SM", "R"})
_PARAGRAPHS = frozenset({"PP", "P", "LP", "TP", "IP", "HP", "Pp", "sp", "TQ", "RS", "RE", "Sp"})
_SILENT = frozenset(
    [
        "TH",
        "Dd",
        "Dt",
        "Os",
        "so",
        "ad",
        "na",
        "nh",
        "hy",
        "in",
        "ti",
        "ta",
        "ll",
        "pl",
        "ne",
        "bp",
        "ft",
        "fi",
        "nf",
        "br",
        "de",
        "ds",
        "if",
        "ie",
        "el",
        "rm",
        "nr",
        "ig",
        "IX",
        "Id",
        "Bl",
        "El",
        "Bd",
        "Ed",
        "Bk",
        "Ek",
        "PD",
        "SY",
        "YS",
        "EX",
        "EE",
        "UE",
        "ME",
        "AT",
        "UC",
        "OP",
        "DT",
        "mk",
        "rt",
        "cs",
        "vs",
        "ps",
        "ss",
        "tr",
        "lf",
        "als",
    ]
)
_MDOC = re.compile(
    r"\b(?:Nm|Fl|Ar|Op|Cm|Pa|Xr|Sq|Dq|Ql|Em|Sy|Li|Ev|Va|Fn|Fa|Ft|Ns|Oo|Oc|Po|Pc|No|Dv|Er|Ic|In"
    r"|Ox|Nx|Fx|Bx|Tn|Pq|Aq|Ap)\b ?"
)


def is_manual(text: str) -> bool:
    """Whether a text is the roff source of a manual page: nothing but roff before its title."""
    end = ""
    for line in text[:_LONGEST_HEAD].split("\n"):
        if end:  # inside a macro's definition
            end = "" if line.rstrip() == end else end
        elif _MARK.match(line):
            return True
        elif not _HEAD.match(line):
            return False
        elif line.startswith((".", "'")):
            macro, _, rest = line[1:].strip().partition(" ")
            end = _end(macro, rest)
    return False


def _end(macro: str, rest: str) -> str:
    """The line that ends what a macro defines; empty where it defines nothing."""
    if macro not in _DEFINES:
        return ""
    words = re.sub(r'\\".*', "", rest).split()
    named = words[:1] if macro == "ig" else words[1:2]
    return f".{named[0]}" if named else ".."


def manual_text(text: str) -> str:
    """What the page says, without fonts and layout."""
    out: list[str] = []
    skip_until = ""
    literal = False
    for line in text.split("\n"):
        if skip_until:  # inside a macro's definition
            skip_until = "" if line.rstrip() == skip_until else skip_until
            continue
        if line.startswith(("\\{", '\\"', "\\#")):  # a condition's brace, comments without a dot
            continue
        if not line.startswith((".", "'")):
            out.append(_plain(line) + ("\n" if literal or not line.strip() else " "))
            continue
        macro, _, rest = line[1:].strip().partition(" ")
        if skip_until := _end(macro, rest):
            continue
        if macro in ("nf", "EX", "Bd", "Vb"):
            literal = True
            out.append("\n")
        elif macro in ("fi", "EE", "Ed", "Ve"):
            literal = False
            out.append("\n")
        else:
            out.append(_request(macro, rest.strip(), literal=literal))
    joined = re.sub(r"[ \t]+\n", "\n", "".join(out))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"(?<=\S) {2,}(?=\S)", " ", joined)).strip()


def _request(macro: str, rest: str, *, literal: bool) -> str:
    """What one line with a macro gives."""
    end = "\n" if literal else " "
    if macro.startswith('\\"') or not macro:
        return ""
    if macro in ("SH", "SS", "Sh", "Ss"):
        return f"\n\n{_plain(' '.join(_words(rest)))}\n\n"
    if macro in _PARAGRAPHS:
        label = _words(rest)[:1] if macro in ("IP", "HP") else []
        return "\n\n" + "".join(f"{_plain(word)} " for word in label)
    if macro in _JOINED:
        return _plain("".join(_words(rest))) + end
    if macro in _TEXT:
        return _plain(" ".join(_words(rest))) + end
    if macro in ("UR", "MT"):
        return f"<{_plain(rest)}> "
    if macro == "It":
        return f"\n\n{_mdoc(rest)} "
    if macro in _SILENT or macro.startswith("\\}"):
        return "\n" if macro == "br" else ""
    return _mdoc(f"{macro} {rest}") + end if macro[:1].isupper() and len(macro) == 2 else ""


def _mdoc(line: str) -> str:
    """A line of mdoc: the options get their dash, the other macros go."""
    line = re.sub(r"\bFl (\S)", r"-\1", line)
    line = re.sub(r"\bXr (\S+) (\S+)", r"\1(\2)", line)
    return _plain(_MDOC.sub("", line).replace('"', ""))


def _words(line: str) -> list[str]:
    """Arguments of a macro: words, or what stands in double quotes."""
    return [
        quoted.replace('""', '"') if quoted else word
        for quoted, word in re.findall(r'"((?:[^"]|"")*)"?|(\S+)', line)
        if quoted or word
    ]


def _plain(text: str) -> str:
    if "\\" not in text:
        return text
    text = re.sub(r'\\".*', "", text)  # a comment
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    if (one := match.group("one")) is not None:
        return _SINGLE.get(one, one)
    name = match.group("two") or match.group("long") or match.group("string")
    name = name or match.group("named")
    if not name:
        return ""
    if name.startswith("u") and re.fullmatch(r"u[0-9A-F]{4,5}", name):
        return chr(int(name[1:], 16))
    if name not in _CHARACTERS and len(name) == 2 and name[0].isalpha() and name[1] in "'`:^~,":
        return name[0]  # an accent: the bare letter
    return _CHARACTERS.get(name, "")
