"""Tables: text that a page can show whole, and no markup from a cell."""

from __future__ import annotations

from labs_lib.tables import Table

ROW = '{"person":"Zeno Rao","day":"Tuesday","time":"14:00","room":"Ash"}'


def test_a_long_word_may_go_on_in_a_new_line():
    html = Table.of(["answer"], [[ROW], ["runs/2026/a,b"], ["one, two"]])._repr_html_()
    assert "Rao&quot;,<wbr>&quot;day&quot;:&quot;Tuesday&quot;,<wbr>" in html
    assert "runs/2026/a,b" in html
    assert "one, two" in html
    assert ROW in repr(Table.of(["answer"], [[ROW]]))


def test_a_cell_is_text():
    html = Table.of(["answer"], [["<script>/,</script>" + "x" * 40 + "\nnext"]])._repr_html_()
    assert "<script" not in html
    assert "<br>next" in html
