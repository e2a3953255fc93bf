"""Arithmetic from a bank, evaluated by simpleeval: numbers and a few functions, nothing else."""

from __future__ import annotations

import ast
import keyword
import math
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

LONGEST = 500
# Whole numbers beyond what a float holds are refused before they are worked out.
MOST_BITS = 1024


def _power(base: Any, exponent: Any) -> Any:
    if base and abs(exponent) * abs(math.log2(abs(base))) > MOST_BITS:
        raise ValueError("a power is too large")
    return base**exponent


def _times(one: Any, other: Any) -> Any:
    product = one * other
    if isinstance(product, int) and product.bit_length() > MOST_BITS:
        raise ValueError("a product is too large")
    return product


def _round(number: Any, digits: Any = None) -> Any:
    if digits is not None and abs(digits) > 300:
        raise ValueError("round: too many digits")
    return round(number, digits)


FUNCTIONS: dict[str, Any] = {
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": _round,
    "sqrt": math.sqrt,
}

_ALLOWED = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Load, ast.Call,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.USub, ast.UAdd,
)  # fmt: skip


_SIGNS = str.maketrans({
    **dict.fromkeys("·×⋅∙∗", "*"), **dict.fromkeys("÷∕⁄", "/"), **dict.fromkeys("−–‒﹣", "-"),
    "^": "**", "√": "sqrt ", "α": "alpha", "β": "beta", "γ": "gamma", "λ": "lambda_", "η": "eta",
})  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*)|(?P<sign>\*\*|//|[-+*/%(),]))\s*"
)


class Formula:
    """An arithmetic expression of named numbers.

    As on paper, too: `α/r`, `2·r·d`, `2 r d`, `r(d + k)`, `2^10`, `r²`, `√r`. Raises ValueError,
    in one line, for anything but numbers, names, + - * / // % **, brackets and the functions of
    `FUNCTIONS`.
    """

    def __init__(self, text: str):
        self.text = text
        self._tree, self.names = _parsed(text)

    def value(self, numbers: Mapping[str, float]) -> float:
        """Return the expression's value; ValueError if it is not a finite number."""
        import simpleeval  # pyright: ignore[reportMissingTypeStubs]  # brings no types

        library: Any = simpleeval
        operators: dict[Any, Any] = {**library.DEFAULT_OPERATORS, ast.Pow: _power, ast.Mult: _times}
        evaluator = library.SimpleEval(
            operators=operators, functions=FUNCTIONS, names=dict(numbers)
        )
        try:
            result = evaluator.eval(self.text, previously_parsed=self._tree)
            finite = math.isfinite(result)
        except Exception as error:
            raise ValueError(
                f"formula {self.text!r} has no value for {dict(numbers)}: {error}"
            ) from error
        if not finite:
            raise ValueError(f"formula {self.text!r} is not finite for {dict(numbers)}")
        return float(result)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[Any, frozenset[str]]:
    import simpleeval  # pyright: ignore[reportMissingTypeStubs]  # brings no types

    library: Any = simpleeval
    if len(text) > LONGEST:
        raise ValueError(f"formula of {len(text)} characters; at most {LONGEST}")
    if ";" in text:
        raise ValueError(f"formula {text!r} cannot be read: it is more than one")
    try:
        tree = library.SimpleEval.parse(in_code(text))
    except Exception as error:
        raise ValueError(f"formula {text!r} cannot be read: {error}") from error
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            continue
        number = not isinstance(node, ast.Constant) or type(node.value) in (int, float)
        if not isinstance(node, _ALLOWED) or not number:
            raise ValueError(f"formula {text!r} holds {type(node).__name__}; only arithmetic")
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else None
            if called not in FUNCTIONS or node.keywords:
                raise ValueError(f"formula {text!r}: legal functions are {', '.join(FUNCTIONS)}")
        elif isinstance(node, ast.Name):
            names.add(node.id)
    return tree, frozenset(names - set(FUNCTIONS))


def in_code(text: str) -> str:
    """Return a formula as Python writes it; what is no arithmetic stays as it is, to be refused."""
    plain = re.sub(
        "[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda power: f"**({power[0].translate(_RAISED)})", text
    ).translate(_SIGNS)
    plain = unicodedata.normalize("NFKC", plain)
    parts: list[str] = []
    before = ""  # the kind of the token before
    rooted = False
    place = 0
    while place < len(plain):
        match = _TOKEN.match(plain, place)
        if match is None or (match["name"] and keyword.iskeyword(match["name"])):
            return text
        kind, token = str(match.lastgroup), match[0].strip()
        ends = before in ("number", "name") or parts[-1:] == [")"]
        if rooted and token != "(":
            token = f"({token})"  # √r is the root of r alone
        elif ends and (token == "(" or kind == "name" or (kind == "number" and before == "name")):
            called = parts[-1] in FUNCTIONS and token == "("
            parts += [] if called else ["*"]
        rooted = token == "sqrt" and not plain.startswith("(", match.end())
        parts.append(token)
        before, place = kind, match.end()
    return " ".join(parts)
