"""Whether a result is what was wanted, which form it should have had, and how they differ in words.

Everything here looks at results that have crossed from the student's process as plain values, and
runs in the notebook's: nothing that the student's code has changed takes part.
"""

from __future__ import annotations

import math
from typing import Any

from labs_lib.assessment.numbers import plain_number
from labs_lib.assessment.plain import Other, Record, plain_text
from labs_lib.assessment.written_numbers import NumberError, read_number
from labs_lib.errors import kind_of, shorten

_NUMBERS = (int, float)


def same(got: Any, wanted: Any, relative: float = 1e-4) -> bool:
    """Return whether two results are equal: numbers and tensors within a relative tolerance.

    A whole float equals the int, 1 and 0 the truth values, a list the tuple, an array the tensor
    or the list of its values, an array of one number that number, and text the text in other case.
    """
    if isinstance(wanted, bool):
        got = one_number(got)
        return isinstance(got, _NUMBERS) and got in (0, 1) and bool(got) == wanted
    if isinstance(got, bool):
        return False
    if isinstance(wanted, _NUMBERS):
        got = one_number(got)
        return isinstance(got, _NUMBERS) and _close(got, wanted, relative)
    if isinstance(wanted, str):
        return isinstance(got, str) and got.strip().casefold() == wanted.strip().casefold()
    if isinstance(wanted, (list, tuple)):
        if _is_array(got):
            got = got.tolist()
        return (
            isinstance(got, (list, tuple))
            and len(got) == len(wanted)
            and all(same(a, b, relative) for a, b in zip(got, wanted, strict=True))
        )
    if isinstance(wanted, dict):
        return (
            isinstance(got, dict)
            and got.keys() == wanted.keys()
            and all(same(got[key], wanted[key], relative) for key in wanted)
        )
    if _is_array(wanted):
        return _same_arrays(got, wanted, relative)
    if isinstance(wanted, (set, frozenset)):
        return isinstance(got, (set, frozenset, list, tuple)) and _members(got) == _members(wanted)
    return type(got) is type(wanted) and got == wanted


def one_number(value: Any) -> Any:
    """Return the number in an array that holds one; anything else as it is."""
    number = plain_number(value)
    return value if number is None else number


def form_wanted(got: Any, wanted: Any, relative: float = 1e-4) -> str:
    """Return in words the form that right values should have had; empty if they are not right.

    For a result that differs from the wanted one in its form alone: shape, container, text for a
    number, or digits rounded away.
    """
    if _is_array(wanted):
        said = _array_wanted(got, wanted, relative)
        if said:
            return said
        values = got if _is_array(got) else _array(got)
        if values is not None and math.prod(values.shape) == math.prod(wanted.shape):
            flat, right = values.reshape(-1), wanted.reshape(-1)
            squeezed = [side for side in values.shape if side != 1]
            sides = [side for side in wanted.shape if side != 1]
            if squeezed == sides and same(flat, right, relative):
                return f"shape {tuple(wanted.shape)}"
        return ""
    if isinstance(wanted, bool):
        said = got.strip().casefold() if isinstance(got, str) else ""
        return "True or False, not text" if said == str(wanted).casefold() else ""
    if wanted is None:
        return "None, not text" if isinstance(got, str) and same(got, "none") else ""
    if isinstance(wanted, _NUMBERS):
        return _number_wanted(got, wanted, relative)
    if isinstance(wanted, (list, tuple)):
        return _list_wanted(got, wanted, relative)
    return ""


def difference(name: str, case: tuple[Any, ...], result: Any, wanted: Any) -> str:
    """Return one line: the call, what it returned, and what was expected."""
    arguments = ", ".join(short(argument) for argument in case)
    if _is_array(wanted) and getattr(result, "shape", None) == wanted.shape:
        got, right = f"other values in the {short(result)}", "those of the definition"
    else:
        got, right = _told_apart(result, wanted)
    return f"{name}({arguments}) returned {got}; expected {right}."


def short(value: Any, apart_from: Any = None) -> str:
    """Return a result in a few words; a number with the digits that set it apart from another."""
    if isinstance(value, Other):
        kind = f"{'an' if value.type_name[:1] in 'aeiouAEIOU' else 'a'} {value.type_name}"
        return f"{kind} {value.shown}" if value.shown.startswith("of ") else kind
    if isinstance(value, Record):
        return f"a {value.type_name}"
    if _is_array(value) and len(value.shape):
        return f"tensor of shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple)) and any(map(_is_array, value)):
        parts = ", ".join(short(part) for part in value[:4])
        return plain_text(f"({parts})" if isinstance(value, tuple) else f"[{parts}]", 120)
    if isinstance(value, float):
        return _digits(value, apart_from)
    return shorten(value, 80)


def _told_apart(result: Any, wanted: Any) -> tuple[str, str]:
    got, right = one_number(result), one_number(wanted)
    if isinstance(got, _NUMBERS) and isinstance(right, _NUMBERS):
        return short(got, right), short(right, got)
    if isinstance(result, (list, tuple)) and isinstance(wanted, (list, tuple)):
        for place, (a, b) in enumerate(zip(result, wanted, strict=False)):
            if len(result) == len(wanted) and len(wanted) > 1 and not same(a, b):
                a_said, b_said = _told_apart(a, b)
                return f"{a_said} in place {place}", b_said
    return short(result), short(wanted)


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


def _close(got: Any, wanted: Any, relative: float) -> bool:
    if got == wanted or (got != got and wanted != wanted):
        return True
    # A whole number may be too long for a float.
    return (
        _fits(got) and _fits(wanted) and math.isclose(got, wanted, rel_tol=relative, abs_tol=1e-9)
    )


def _number_wanted(got: Any, wanted: float, relative: float) -> str:
    if isinstance(got, str):
        return "a number, not text" if _close(_read(got), wanted, relative) else ""
    if isinstance(got, (list, tuple)) and len(got) == 1 and same(got[0], wanted, relative):
        return f"the number itself, not {kind_of(got)} with it"
    if isinstance(got, float) and _fits(wanted):
        for places in (1, 2, 3, 4):
            if got == round(float(wanted), places):
                return "the number as it is, not rounded"
    return ""


def _array_wanted(got: Any, wanted: Any, relative: float) -> str:
    """Return the form wanted of an array's values, where they came as another thing than one."""
    if isinstance(got, dict):
        return "the values, not a dict" if same(list(got.values()), wanted, relative) else ""
    if isinstance(got, (set, frozenset)):
        ascending = sorted(part for part in got if isinstance(part, _NUMBERS))
        return "a list: a set has no order" if same(ascending, wanted, relative) else ""
    if isinstance(got, list) and got and all(isinstance(part, str) for part in got):
        numbers = [_read(part) for part in got[:1000]]
        return "numbers, not text" if same(numbers, wanted, relative) else ""
    tensor: Any = got
    if hasattr(tensor, "bfloat16") and tensor.shape == wanted.shape and same(tensor, wanted, 0.01):
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


def _list_wanted(got: Any, wanted: Any, relative: float) -> str:
    if _is_array(got):
        return _list_wanted(got.tolist(), wanted, relative)
    if isinstance(got, (set, frozenset)) and _members(got) == _members(wanted):
        return "a list: a set has no order"
    if isinstance(got, dict) and same(list(got.values()), list(wanted), relative):
        return f"{'a tuple' if isinstance(wanted, tuple) else 'a list'} of the values, not a dict"
    if isinstance(got, (list, tuple)):
        if len(got) == 1 and len(wanted) != 1 and same(got[0], wanted, relative):
            return f"{len(wanted)} values, not a list of lists"
        if len(got) == len(wanted):
            forms = [
                "" if same(a, b, relative) else form_wanted(a, b, relative) or "?"
                for a, b in zip(got, wanted, strict=True)
            ]
            if "?" not in forms:
                return next((form for form in forms if form), "")
    return ""


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


def _same_arrays(got: Any, wanted: Any, relative: float) -> bool:
    import numpy as np

    right = np.asarray(wanted.detach().float() if hasattr(wanted, "detach") else wanted)
    if hasattr(got, "detach"):
        got = got.detach().cpu().numpy()
    left = got if isinstance(got, np.ndarray) else _array(got)
    if left is None or left.shape != right.shape or left.dtype.kind not in "fiub":
        return False
    scale = float(np.abs(right).max()) if right.size else 0.0
    return bool(np.allclose(left, right, rtol=relative, atol=relative * scale))
