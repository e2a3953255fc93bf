"""Arithmetic from a bank, evaluated by simpleeval: numbers and a few functions, nothing else."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

FUNCTIONS: dict[str, Any] = {
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": round,
    "sqrt": math.sqrt,
}
LONGEST = 500

_ALLOWED = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Load, ast.Call,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.USub, ast.UAdd,
)  # fmt: skip


class Formula:
    """An arithmetic expression of named numbers.

    Raises ValueError, in one line, for anything but numbers, names, + - * / // % **, brackets
    and the functions of `FUNCTIONS`.
    """

    def __init__(self, text: str):
        self.text = text
        self._tree, self.names = _parsed(text)

    def value(self, numbers: Mapping[str, float]) -> float:
        """Return the expression's value; ValueError if it is not a finite number."""
        from simpleeval import SimpleEval

        evaluator = SimpleEval(functions=FUNCTIONS, names=dict(numbers))
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
    from simpleeval import SimpleEval

    if len(text) > LONGEST:
        raise ValueError(f"formula of {len(text)} characters; at most {LONGEST}")
    try:
        tree = SimpleEval.parse(text)
    except Exception as error:
        raise ValueError(f"formula {text!r} cannot be read: {error}") from error
    names = set()
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
