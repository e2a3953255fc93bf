"""Code that circulates: its error is shown without a path, and its repair has to work."""

from __future__ import annotations

import pytest

from labs_lib.training import compare_code
from labs_lib.training.published_code import what_it_says


def test_the_error_of_the_old_form_stands_beside_the_new_form():
    table = compare_code([("print(tint)", "print(shade)")], shade=1)
    assert table.rows == (("print(tint)", "NameError: name 'tint' is not defined", "print(shade)"),)


def test_a_repair_that_does_not_work_is_not_shown():
    with pytest.raises(ZeroDivisionError):
        compare_code([("1 + 1", "1 / 0")])


def test_no_place_on_this_machine_is_named():
    said = what_it_says("from labs_lib.tables import Tabel", {})
    assert said == "ImportError: cannot import name 'Tabel' from 'labs_lib.tables'"


def test_only_the_last_line_is_told_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]):
    code = "print('loud')\nraise ValueError('much advice\\nwhat is wrong')"
    assert what_it_says(code, {}) == "ValueError: what is wrong"
    assert what_it_says("", {}) == "no error"
    assert capsys.readouterr().out == ""
