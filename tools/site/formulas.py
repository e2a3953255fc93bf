"""A Sphinx extension: formulas as MathML, made at build time, so that no script draws them."""

from __future__ import annotations

from typing import Any

from docutils import nodes


def mathml(latex: str, display: str) -> str:
    """Return `<math>` of a formula; `display` is "inline" or "block"."""
    from latex2mathml.converter import convert

    return convert(latex, display=display)


def inline(translator: Any, node: Any) -> None:
    """Write a formula in a line of text."""
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def block(translator: Any, node: Any) -> None:
    """Write a formula on a line of its own."""
    formula = mathml(node.astext(), "block")
    translator.body.append(f'<div class="lab-formula">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Have Sphinx write formulas this way."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
