"""From two traces of shallow stacks to the deep model: layers repeat, so each moment is a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labs_lib.memory.stacks import Pattern

Bytes = dict[str, int]
Key = tuple[str, ...]
Group = tuple[str, str, tuple[int, ...], str, str]


def extrapolated(
    low: dict[str, Any], high: dict[str, Any], pattern: Pattern
) -> dict[str, Any] | None:
    """Return the deep model's figures; None where the shallow ones did not run alike."""
    steps = (pattern.layers - low["layers"]) // pattern.period

    def line(at_low: int, at_high: int) -> int:
        return at_low + (at_high - at_low) * steps

    def by_kind(at_low: Bytes, at_high: Bytes) -> Bytes:
        return {kind: line(at_low[kind], at_high[kind]) for kind in at_low}

    low_peaks, high_peaks = _by_place(low, pattern), _by_place(high, pattern)
    if not low_peaks.keys() <= high_peaks.keys():
        return None
    peaks: dict[Key, dict[str, Any]] = {}
    groups: dict[Key, dict[Group, tuple[int, int]]] = {}
    for key in low_peaks:
        (low_key, low_peak), (high_key, high_peak) = low_peaks[key], high_peaks[key]
        kinds = by_kind(low_peak["kinds"], high_peak["kinds"])
        peaks[key] = {"total": sum(kinds.values()), "kinds": kinds}
        ones, others = low["groups"][low_key], high["groups"][high_key]
        groups[key] = {
            group: (line(ones.get(group, (0, 0))[0], count), line(ones.get(group, (0, 0))[1], size))
            for group, (count, size) in others.items()
        }
    return {
        "layers": pattern.layers,
        "idle": low["idle"],
        "peaks": peaks,
        "groups": groups,
        "ends": {
            key: by_kind(low["ends"][key], high["ends"][key])
            for key in low["ends"]
            if key in high["ends"] and not key[1].startswith("layer")
        },
        "sizes": {name: line(low["sizes"][name], high["sizes"][name]) for name in low["sizes"]},
        "units": low["units"].at_depth(high["units"], line),
        "trainable": line(low["trainable"], high["trainable"]),
        "total": line(low["total"], high["total"]),
    }


def _by_place(shot: dict[str, Any], pattern: Pattern) -> dict[Key, tuple[Key, dict[str, Any]]]:
    """Name each layer's moments by its place: before the pattern, in its first period, or last."""
    prefix, period, layers = pattern.prefix, pattern.period, shot["layers"]
    places: dict[Key, tuple[Key, dict[str, Any]]] = {}
    for key, peak in shot["peaks"].items():
        phase, where, micro = key
        if not where.startswith("layer "):
            places[key] = (key, peak)
            continue
        index = int(where.removeprefix("layer "))
        if index < prefix + 2 * period:
            places[(phase, f"layer {index}", micro)] = (key, peak)
        if index >= layers - period:
            places[(phase, f"layer last{index - layers + 1 or ''}", micro)] = (key, peak)
    return places
