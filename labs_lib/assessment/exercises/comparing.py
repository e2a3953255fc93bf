"""Whether a result is the expected one, which form it should have, how the two differ in words.

Everything here looks at results that have crossed from the student's process as plain values, and
runs in the notebook's: nothing that the student's code has changed takes part.
"""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from labs_lib.assessment.numbers import plain_number
from labs_lib.assessment.plain import Other, Record, plain_text
from labs_lib.assessment.written_numbers import NumberError, read_number
from labs_lib.errors import kind_of, shorten

_NUMBERS = (int, float)


def same(actual: Any, expected: Any, relative: float = 1e-4) -> bool:
    """Return whether two results are equal: numbers and tensors within a relative tolerance.

    A whole float equals the int, 1 and 0 the truth values, a list the tuple, an array the tensor
    or the list of its values, an array of one number that number, and text the text in other case.
    """
    if isinstance(expected, bool):
        actual = one_number(actual)
        return isinstance(actual, _NUMBERS) and actual in (0, 1) and bool(actual) == expected
    if isinstance(actual, bool):
        return False
    if isinstance(expected, _NUMBERS):
        actual = one_number(actual)
        return isinstance(actual, _NUMBERS) and _close(actual, expected, relative)
    if isinstance(expected, str):
        return isinstance(actual, str) and actual.strip().casefold() == expected.strip().casefold()
    if _is_sequence(expected):
        if _is_array(actual):
            actual = actual.tolist()
        return (
            _is_sequence(actual)
            and len(actual) == len(expected)
            and all(same(a, b, relative) for a, b in zip(actual, expected, strict=True))
        )
    if _is_dict(expected):
        return (
            _is_dict(actual)
            and actual.keys() == expected.keys()
            and all(same(actual[key], expected[key], relative) for key in expected)
        )
    if _is_array(expected):
        return _same_arrays(actual, expected, relative)
    if isinstance(expected, (set, frozenset)):
        return isinstance(actual, (set, frozenset, list, tuple)) and _members(actual) == _members(
            expected
        )
    return type(actual) is type(expected) and actual == expected


def one_number(value: Any) -> Any:
    """Return the number in an array that holds one; anything else as it is."""
    number = plain_number(value)
    return value if number is None else number


def expected_form(actual: Any, expected: Any, relative: float = 1e-4) -> str:
    """Return in words the form that right values should have had; empty if they are not right.

    For a result that differs from the expected one in its form alone: shape, container, text for a
    number, or digits rounded away.
    """
    if _is_array(expected):
        text = _expected_array_form(actual, expected, relative)
        if text:
            return text
        values = actual if _is_array(actual) else _array(actual)
        if values is not None and math.prod(values.shape) == math.prod(expected.shape):
            flat, right = values.reshape(-1), expected.reshape(-1)
            squeezed = [side for side in values.shape if side != 1]
            sides = [side for side in expected.shape if side != 1]
            if squeezed == sides and same(flat, right, relative):
                return f"shape {tuple(expected.shape)}"
        return ""
    if isinstance(expected, bool):
        text = actual.strip().casefold() if isinstance(actual, str) else ""
        return "True or False, not text" if text == str(expected).casefold() else ""
    if expected is None:
        return "None, not text" if isinstance(actual, str) and same(actual, "none") else ""
    if isinstance(expected, _NUMBERS):
        return _expected_number_form(actual, expected, relative)
    if isinstance(expected, (list, tuple)):
        return _expected_list_form(actual, expected, relative)
    return ""


def difference(name: str, case: tuple[Any, ...], result: Any, expected: Any) -> str:
    """Return one line: the call, what it returned, and what was expected."""
    arguments = ", ".join(short(argument) for argument in case)
    if _is_array(expected) and getattr(result, "shape", None) == expected.shape:
        actual, right = f"other values in the {short(result)}", "those of the definition"
    else:
        actual, right = _distinguished(result, expected)
    return f"{name}({arguments}) returned {actual}; expected {right}."


def short(value: Any, apart_from: Any = None) -> str:
    """Return a result in a few words; a number with the digits that set it apart from another."""
    if isinstance(value, Other):
        kind = f"{'an' if value.type_name[:1] in 'aeiouAEIOU' else 'a'} {value.type_name}"
        return f"{kind} {value.shown}" if value.shown.startswith("of ") else kind
    if isinstance(value, Record):
        return f"a {value.type_name}"
    if _is_array(value) and len(value.shape):
        return f"tensor of shape {tuple(value.shape)}"
    if _is_sequence(value) and any(map(_is_array, value)):
        parts = ", ".join(short(part) for part in value[:4])
        return plain_text(f"({parts})" if isinstance(value, tuple) else f"[{parts}]", 120)
    if isinstance(value, float):
        return _digits(value, apart_from)
    return shorten(value, 80)


def _distinguished(result: Any, expected: Any) -> tuple[str, str]:
    actual, right = one_number(result), one_number(expected)
    if isinstance(actual, _NUMBERS) and isinstance(right, _NUMBERS):
        return short(actual, right), short(right, actual)
    if _is_sequence(result) and _is_sequence(expected):
        for place, (a, b) in enumerate(zip(result, expected, strict=False)):
            if len(result) == len(expected) and len(expected) > 1 and not same(a, b):
                a_text, b_text = _distinguished(a, b)
                return f"{a_text} in place {place}", b_text
    return short(result), short(expected)


def _digits(value: float, other: Any) -> str:
    """Return a float with six digits, or as many more as the difference needs."""
    gap = abs(value - other) if isinstance(other, _NUMBERS) and _fits(other) else math.inf
    for precision in (6, 9, 12):
        text = f"{value:.{precision}g}"
        lost = abs(float(text) - value) if math.isfinite(value) else 0.0
        rounded_whole = not value.is_integer() and float(text).is_integer()
        if not rounded_whole and (lost == 0 or lost < gap / 100):
            return text
    return repr(value)


def _fits(number: Any) -> bool:
    try:
        float(number)
    except OverflowError:
        return False
    return True


def _close(actual: Any, expected: Any, relative: float) -> bool:
    if actual == expected or (actual != actual and expected != expected):
        return True
    # A whole number may be too long for a float.
    return (
        _fits(actual)
        and _fits(expected)
        and math.isclose(actual, expected, rel_tol=relative, abs_tol=1e-9)
    )


def _expected_number_form(actual: Any, expected: float, relative: float) -> str:
    if isinstance(actual, str):
        return "a number, not text" if _close(_read(actual), expected, relative) else ""
    if _is_sequence(actual) and len(actual) == 1 and same(actual[0], expected, relative):
        return f"the number itself, not {kind_of(actual)} with it"
    if isinstance(actual, float) and _fits(expected):
        for places in (1, 2, 3, 4):
            if actual == round(float(expected), places):
                return "the number as it is, not rounded"
    return ""


def _expected_array_form(actual: Any, expected: Any, relative: float) -> str:
    """Return the form expected of an array's values, where they came as another thing than one."""
    if _is_dict(actual):
        return "the values, not a dict" if same(list(actual.values()), expected, relative) else ""
    if _is_set(actual):
        ascending = sorted(part for part in actual if isinstance(part, _NUMBERS))
        return "a list: a set has no order" if same(ascending, expected, relative) else ""
    if _is_list(actual) and actual and all(isinstance(part, str) for part in actual):
        numbers = [_read(part) for part in actual[:1000]]
        return "numbers, not text" if same(numbers, expected, relative) else ""
    tensor: Any = actual
    if (
        hasattr(tensor, "bfloat16")
        and tensor.shape == expected.shape
        and same(tensor, expected, 0.01)
    ):
        import torch

        # What a 16-bit number holds comes back from it unchanged.
        if any(
            torch.equal(tensor, tensor.to(kind).to(tensor.dtype))
            for kind in (torch.float16, torch.bfloat16)
        ):
            return "32-bit numbers, not rounded to 16 bits"
    return ""


def _read(text: str) -> float:
    """Return the number that a text holds, as people write them; NaN if none."""
    try:
        written = read_number(text)
    except NumberError:
        return math.nan
    return math.nan if written.rest else written.number


def _expected_list_form(actual: Any, expected: Any, relative: float) -> str:
    if _is_array(actual):
        return _expected_list_form(actual.tolist(), expected, relative)
    if _is_set(actual) and _members(actual) == _members(expected):
        return "a list: a set has no order"
    if _is_dict(actual) and same(list(actual.values()), list(expected), relative):
        return f"{'a tuple' if isinstance(expected, tuple) else 'a list'} of the values, not a dict"
    if _is_sequence(actual):
        if len(actual) == 1 and len(expected) != 1 and same(actual[0], expected, relative):
            return f"{len(expected)} values, not a list of lists"
        if len(actual) == len(expected):
            forms = [
                "" if same(a, b, relative) else expected_form(a, b, relative) or "?"
                for a, b in zip(actual, expected, strict=True)
            ]
            if "?" not in forms:
                return next((form for form in forms if form), "")
    return ""


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_sequence(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, (list, tuple))


def _is_set(value: Any) -> TypeGuard[set[Any] | frozenset[Any]]:
    return isinstance(value, (set, frozenset))


def _is_dict(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _members(values: Any) -> Any:
    return sorted(map(repr, values))


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "tolist")


def _array(value: Any) -> Any:
    import numpy as np

    if not isinstance(value, (int, float, list, tuple)):
        return None
    try:
        made = np.asarray(value)
    except (ValueError, OverflowError):  # ragged, or too long an int
        return None
    return made if made.dtype.kind in "fiub" else None


def _same_arrays(actual: Any, expected: Any, relative: float) -> bool:
    import numpy as np

    right = np.asarray(expected.detach().float() if hasattr(expected, "detach") else expected)
    if hasattr(actual, "detach"):
        actual = actual.detach().cpu().numpy()
    made: Any = np.ndarray
    left: Any = actual if isinstance(actual, made) else _array(actual)
    if left is None or left.shape != right.shape or left.dtype.kind not in "fiub":
        return False
    scale = float(np.abs(right).max()) if right.size else 0.0
    return bool(np.allclose(left, right, rtol=relative, atol=relative * scale))
