"""Arithmetic that is exact: fractions of whole numbers, so 0.1 + 0.2 is 0.3.

Python's own parser reads the expression, and this file walks over the tree; nothing is ever
executed. What has no exact value (a root, a logarithm, a sine) is computed in floating point and
marked with "≈".
"""

from __future__ import annotations

import ast
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from kataribe.base.errors import InputError
from kataribe.use.agents.tools.calculator_functions import (
    CONSTANTS,
    FUNCTIONS,
    Number,
    bounded,
    power,
)

LONGEST = 1000
"""Characters of an expression."""
_SHOWN_DIGITS = 15
_LONGEST_DECIMAL = 60

_UNICODE = str.maketrans(
    {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "√": " sqrt ", "⁄": "/"}
)
_FRACTION = re.compile("(?:(?<![\\d.,])(\\d+))?([¼½¾⅐-⅞↉])")
_RAISED = re.compile("[⁰¹²³⁴-⁻]+")
_PERCENT = re.compile(r"(\d[\d_]*(?:\.\d*)?|\.\d+)%(?=\s*(?:$|[-+*/),^]|of\b))")
_OF = re.compile(r"\bof\b")
_GROUPED = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_CALL = re.compile(r"[A-Za-z_]\w*\s*\(")

_BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
    ast.Mod: operator.mod,
    ast.Pow: power,
}


@dataclass(frozen=True, slots=True)
class Result:
    """A number; `exact` where it is the very value."""

    value: Number

    @property
    def exact(self) -> bool:
        """Whether no rounding took place."""
        return isinstance(self.value, Fraction)

    def __str__(self) -> str:
        value = self.value
        if isinstance(value, float):
            return f"≈ {value:.{_SHOWN_DIGITS}g}"
        if value.denominator == 1:
            return str(value.numerator)
        written = _as_decimal(value)
        if written is not None:
            return written
        return f"{value.numerator}/{value.denominator} (≈ {_near(value)})"


def calculate(expression: str) -> str:
    """Computes an arithmetic expression exactly.

    Knows + - * / // % ** (also ^ × ÷), parentheses, percent (15% of 80), fractions and decimals,
    pi and e, and functions: sqrt, cbrt, abs, round, floor, ceil, min, max, sum, mean, gcd, lcm,
    factorial, comb, perm, exp, ln, log10, log2, log(x, base), sin, cos, tan, asin, acos, atan
    (radians), degrees, radians, hypot.

    Args:
        expression: For example "(1299 * 3) * 1.1" or "sqrt(2) / 3".
    """
    return str(evaluate(expression))


def evaluate(expression: str) -> Result:
    """The value of an expression; `InputError` says what cannot be computed and why."""
    if len(expression) > LONGEST:
        raise InputError(
            f"The expression has {len(expression)} characters; at most {LONGEST} are computed. "
            "Compute it in parts."
        )
    text = _readable(expression)
    try:
        tree = ast.parse(text, mode="eval")
        return Result(bounded(_value(tree.body, text)))
    except ZeroDivisionError as error:
        raise InputError(f"{expression!r} divides by zero.") from error
    except OverflowError as error:
        raise InputError(f"{expression!r} becomes too large to compute.") from error
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(
            f"{expression[:100]!r} is no arithmetic expression. Write one like (2 + 3) * 4."
        ) from error
    except ValueError as error:
        raise InputError(f"{expression[:100]!r} has no value: {error}.") from error


def _readable(expression: str) -> str:
    """The expression in Python's notation."""
    text = _FRACTION.sub(_mixed, expression)  # before 3½ becomes 31/2, and 3² becomes 32
    text = _RAISED.sub(lambda found: f"^({found[0]})", text)
    text = unicodedata.normalize("NFKC", text.translate(_UNICODE)).strip().rstrip("=")
    text = text.translate(_UNICODE).replace("\n", " ")
    text = re.sub(r"\bsqrt\s+(\d[\d.]*|\()", _root, text)
    if not _CALL.search(text):  # else a comma may stand between arguments
        text = _GROUPED.sub(lambda found: found[0].replace(",", ""), text)
    text = _PERCENT.sub(r"(\1/100)", text)
    text = _OF.sub("*", text)
    return text.replace("^", "**").strip()


def _mixed(found: re.Match[str]) -> str:
    part = f"{unicodedata.normalize('NFKC', found[2])}"
    return f"({found[1]}+{part})" if found[1] else f"({part})"


def _root(found: re.Match[str]) -> str:
    return "sqrt(" if found[1] == "(" else f"sqrt({found[1]})"


def _value(node: ast.expr, text: str) -> Number:
    if isinstance(node, ast.Constant):
        return _literal(node, text)
    if isinstance(node, ast.Name):
        return _constant(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        inner = _value(node.operand, text)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left, text), _value(node.right, text)
        return bounded(_BINARY[type(node.op)](left, right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return bounded(_called(node.func.id, node.args, text))
    shown = ast.get_source_segment(text, node) or type(node).__name__
    raise InputError(f"The calculator cannot compute {shown[:80]!r}; it knows numbers only.")


def _literal(node: ast.Constant, text: str) -> Number:
    written = (ast.get_source_segment(text, node) or "").replace("_", "")
    if type(node.value) is int:
        return bounded(Fraction(node.value))
    if type(node.value) is float:
        _, _, exponent = Decimal(written).as_tuple()
        if not isinstance(exponent, int) or abs(exponent) > 4000:
            raise InputError(f"{written} is too large or too small to compute exactly.")
        return bounded(Fraction(written))  # as it is written, not as a float rounds it
    raise InputError(f"The calculator cannot compute {written[:80]!r}; it knows real numbers only.")


def _constant(name: str) -> Number:
    if name in CONSTANTS:
        return CONSTANTS[name]
    raise InputError(
        f"The calculator does not know {name!r}. It knows {', '.join(CONSTANTS)} and functions "
        "such as sqrt(x)."
    )


def _called(name: str, given: list[ast.expr], text: str) -> Number:
    known = FUNCTIONS.get(name)
    if known is None:
        raise InputError(
            f"The calculator has no function {name!r}. It has {', '.join(sorted(FUNCTIONS))}."
        )
    least, most = known.arguments
    if not least <= len(given) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise InputError(f"{name} takes {wanted} numbers and was given {len(given)}.")
    return known.compute(*(_value(each, text) for each in given))


def _as_decimal(value: Fraction) -> str | None:
    """All digits of a fraction, where they end; None where they repeat or are too many."""
    rest = value.denominator
    places = 0
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest //= prime
            count += 1
        places = max(places, count)
    if rest != 1 or places > _LONGEST_DECIMAL:
        return None
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def _near(value: Fraction) -> str:
    # Decimal has exponents enough for any fraction that is allowed.
    return f"{Decimal(value.numerator) / Decimal(value.denominator):.{_SHOWN_DIGITS}g}"
