"""The files of a hand-in, read within bounds: what the student says, the run, the rows."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labs_lib.errors import LabError, explain_validation
from labs_lib.files import expanded
from labs_lib.jsons import read_json
from labs_lib.judging.scores import Scores, score_answers
from labs_lib.yamls import read_yaml

if TYPE_CHECKING:
    from labs_lib.data import DataSet
    from labs_lib.training import Run

Choice = Literal["fine-tune", "prompt", "retrieve"]
Conclusion = Literal["better", "worse", "not shown"]
CHOICES: tuple[str, ...] = get_args(Choice)
CONCLUSIONS: tuple[str, ...] = get_args(Conclusion)

SAID_FILES = ("handin.json", "handin.yaml", "handin.yml")
CARD_FILE = "README.md"
DATA_FOLDER = "data"
ADAPTER_FOLDER = "adapter"

LARGEST_BYTES = 2**30
"""Of a file of a hand-in: an adapter on a large base, and no model."""

LARGEST_SAID_BYTES = 32 * 2**20
"""Of what the student says, with every answer of every baseline in it."""

MOST_FILES = 200

_Text = Annotated[str, Field(max_length=5000)]
_Share = Annotated[float, Field(ge=0, le=1)]


class HandIn(BaseModel):
    """What the student says: the choice, the baselines, the interval and the conclusion.

    `choice` was made before training, with the baselines on the page, and `because` is its reason
    in the student's own words; `conclusion` says whether the adapter is better than the best
    baseline beyond noise, and `in_words` what follows from it. What is not said yet is None or
    empty. `interval` holds the ends of the 95 % interval of the adapter's score, as shares;
    `entity` names the field that no two splits share, None where the rows have none.
    """

    model_config = ConfigDict(extra="forbid")

    metric: str = Field(max_length=100)
    baselines: tuple[Scores, ...] = Field((), max_length=20)
    interval: tuple[_Share, _Share] | None = None
    entity: str | None = Field(None, max_length=200)
    choice: Choice | None = None
    because: _Text = ""
    conclusion: Conclusion | None = None
    in_words: _Text = ""

    @property
    def is_blank(self) -> bool:
        """Return whether the student has said nothing yet."""
        return not (self.choice or self.conclusion or self.because.strip() or self.in_words.strip())


class Handed:
    """A folder that was handed in, its parts read when first asked for.

    Each part raises `LabError`, in one line, where its file is missing or damaged.
    """

    def __init__(self, folder: str | Path):
        """Look at the folder's files: plain ones, not too many, none too large."""
        self.folder = expanded(folder)
        if not self.folder.is_dir():
            raise LabError(f"hand-in: no folder {self.folder}; `write_handin` makes one")
        files = sorted(self.folder.rglob("*"))
        if len(files) > MOST_FILES:
            raise LabError(f"hand-in: {len(files):,} files; at most {MOST_FILES}")
        for path in files:
            name = path.relative_to(self.folder)
            if path.is_symlink():
                raise LabError(f"hand-in: {name} is a link; hand in the file itself")
            if path.is_file() and path.stat().st_size > LARGEST_BYTES:
                raise LabError(f"hand-in: {name} is larger than {LARGEST_BYTES / 2**30:g} GiB")

    @cached_property
    def said(self) -> HandIn:
        """What the student says, from handin.json or handin.yaml."""
        path = next((self.folder / n for n in SAID_FILES if (self.folder / n).is_file()), None)
        if path is None:
            raise LabError(f"hand-in: no {SAID_FILES[0]} in it")
        read = read_json if path.suffix == ".json" else read_yaml
        content = read(path, LARGEST_SAID_BYTES)
        if not isinstance(content, dict):
            raise LabError(f"hand-in: {path.name} holds no fields, such as metric and choice")
        try:
            return HandIn.model_validate(content)
        except ValidationError as error:
            raise explain_validation(error, HandIn, path.name) from None

    @cached_property
    def run(self) -> Run:
        """The run that was handed in."""
        from labs_lib.training import Run

        return Run.load(self.folder)

    @cached_property
    def data_set(self) -> DataSet:
        """The rows in data/, split as they were for the run."""
        from labs_lib import data

        folder = self.folder / DATA_FOLDER
        if not folder.is_dir():
            raise LabError(f"hand-in: no folder {DATA_FOLDER} with the rows of the run")
        return data.resolve(str(folder.resolve()))

    @cached_property
    def result(self) -> Scores:
        """What the adapter's answers are worth, scored anew from run.json and the rows."""
        after = self.run.after
        return self._scored("adapter", after.prompts, after.answers)

    @cached_property
    def baselines(self) -> list[Scores]:
        """What the baselines' answers are worth, scored anew; those of other rows raise."""
        return [self._scored(b.name, b.prompts, b.answers) for b in self.said.baselines]

    def _scored(self, name: str, prompts: tuple[str, ...], answers: tuple[str, ...]) -> Scores:
        rows = self.data_set.test[: len(self.run.after.prompts)]
        if not rows:
            raise LabError("hand-in: the run has scored no held-out row")
        if [row.prompt for row in rows] != list(prompts) or len(answers) != len(rows):
            raise LabError(
                f"hand-in: {name}: its {len(answers)} answers are not those to the run's "
                f"{len(rows)} test rows"
            )
        return score_answers(name, self.data_set, rows, answers, self.said.metric)
