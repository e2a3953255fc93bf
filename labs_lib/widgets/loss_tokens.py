"""What the loss sees: a training row as tokens, and what mask, template, cut and end make of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import traitlets

from labs_lib.colors import INK, PAGE_COLORS, THEME_FAINT, THEME_INK, THEME_LINE
from labs_lib.data import END_MARKS, LossView, RowTokens, loss_view, plain_tokens, templated_tokens
from labs_lib.widgets.instrument import label, rect, svg
from labs_lib.widgets.page import PageInstrument

if TYPE_CHECKING:
    from labs_lib.data import Row

_WIDTH, _CHARACTER, _ROW = 640, 7.3, 26


class LossTokens(PageInstrument):
    """A row as the boxes of its tokens: lit where the loss counts the prediction of the token.

    `tokenizer` and `row` (of `labs_lib.data`, one exchange) are the bundled model's tokenizer and
    the first of the sea captain's rows where they are not given.
    """

    name = "loss_tokens"
    state = ("template", "mask_prompt", "end_mark", "max_length", "token", "rows")

    template: Any = traitlets.Bool(True, help="whether the chat template is applied").tag(sync=True)
    mask_prompt: Any = traitlets.Bool(True, help="whether the prompt is masked").tag(sync=True)
    end_mark: Any = traitlets.Enum(
        END_MARKS, "learned", help=f"it is one of {', '.join(END_MARKS)}"
    ).tag(sync=True)
    max_length: Any = traitlets.Int(help="tokens after which the row is cut").tag(sync=True)
    token: Any = traitlets.Int(help="the position of the token that is looked at").tag(sync=True)
    rows: Any = traitlets.Dict(help="the row with the template and without").tag(sync=True)

    def __init__(self, tokenizer: Any = None, row: Row | None = None, **state: Any):
        """Tokenize the row with the template and without, unless the state brings both."""
        if "rows" not in state:
            state["rows"] = _rows(tokenizer, row)
        whole = state["rows"]["template"]
        state.setdefault("max_length", len(whole["ids"]))
        state.setdefault("token", whole["prompt_tokens"])
        super().__init__(**state)

    def figures(self) -> dict[str, Any]:
        """Return how many tokens and terms there are, the labels, and what was lost."""
        view = self._view()
        return {**_as_json(view), "terms": view.terms}

    def line(self) -> str:
        """Return how many tokens the row has and how many the loss counts."""
        view = self._view()
        end = "counted" if view.learns_end else "not counted"
        lost = f", {view.lost} of the answer cut off" if view.lost else ""
        return f"{view.tokens} tokens{lost}; the loss counts {view.terms}; end token {end}"

    def picture(self) -> str:
        """Return the tokens as boxes; filled ones count in the loss, struck ones are cut off."""
        row, view = self._row(), self._view()
        parts = [label(2, 16, "Filled: the loss counts it. Dashed: it is read only.")]
        x, y = 2.0, 30.0
        for at, text in enumerate(row.texts):
            width = 10 + _CHARACTER * len(text)
            if x + width > _WIDTH:
                x, y = 2.0, y + _ROW
            parts.append(_box(x, y, width, text, _look(view, at)))
            x += width + 4
        return svg(_WIDTH, round(y + _ROW + 2), "".join(parts), self.line())

    def _row(self) -> RowTokens:
        held = self.rows["template" if self.template else "plain"]
        return RowTokens(**{**held, "texts": tuple(held["texts"]), "ids": tuple(held["ids"])})

    def _view(self) -> LossView:
        return loss_view(self._row(), self.mask_prompt, self.end_mark, self.max_length)


def _rows(tokenizer: Any, row: Row | None) -> dict[str, Any]:
    from labs_lib.data import load_set

    if tokenizer is None:
        from transformers import AutoTokenizer

        from labs_lib.models import prepare_bundled

        tokenizer = AutoTokenizer.from_pretrained(prepare_bundled(), local_files_only=True)
    shown = load_set("sea-captain").train[0] if row is None else row
    written = {"template": templated_tokens, "plain": plain_tokens}
    return {
        name: _as_json(write(tokenizer, shown.prompt, shown.completion))
        for name, write in written.items()
    }


def _as_json(record: RowTokens | LossView) -> dict[str, Any]:
    return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(record).items()}


def _look(view: LossView, at: int) -> str:
    if at >= view.tokens:
        return "gone"
    return "counted" if view.counted[at] else "read"


def _box(x: float, y: float, width: float, text: str, look: str) -> str:
    fill = PAGE_COLORS["positive"][0] if look == "counted" else "none"
    box = rect(x, y, width, _ROW - 6, fill, edge=THEME_LINE, radius=3)
    if look != "counted":
        box = box.replace("stroke:", "stroke-dasharray:3 2;stroke:")
    style = "font-family:monospace;font-size:12px"
    if look == "gone":
        style += ";text-decoration:line-through;opacity:0.6"
    ink = {"counted": INK, "read": THEME_INK, "gone": THEME_FAINT}[look]
    return box + label(x + width / 2, y + 14, text, anchor="middle", fill=ink, style=style)
