"""Lessons that read back each other's runs are one worker's, whichever lessons there are."""

from __future__ import annotations

from pathlib import Path

from grouping import group_of, group_with, groups

TRAINS = 'run = train(Recipe.from_yaml("recipes/{}.yaml"), reuse=True)\n'


def test_lessons_of_one_recipe_are_one_group(tmp_path: Path):
    folder = tmp_path / "source"
    folder.mkdir()
    for lesson, recipes in {"00_a": "x", "01_b": "", "02_c": "yz", "03_d": "xy"}.items():
        text = "".join(TRAINS.format(recipe) for recipe in recipes)
        (folder / f"{lesson}.py").write_text(text, encoding="utf-8")
    assert groups(tmp_path) == {"01": ["01_b"], "00-02-03": ["00_a", "02_c", "03_d"]}
    (folder / "02x_e.py").write_text(TRAINS.format("w"), encoding="utf-8")
    assert groups(tmp_path)["02x"] == ["02x_e"]
    assert group_of("01_b", tmp_path) == "01"
    assert group_with("z", tmp_path) == "00-02-03"


def test_the_captains_lessons_are_one_group():
    assert len(groups()[group_with("sea-captain")]) > 1
