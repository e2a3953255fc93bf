"""A training recipe: everything that decides a run's result, checked before anything loads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from labs_lib.errors import LabError, choice_error, explain_validation, shorten
from labs_lib.paths import recipe_file
from labs_lib.step.adapters import RSLORA, AdapterSettings
from labs_lib.step.bases import TRAINABLE
from labs_lib.step.methods import METHODS
from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.step.plan import MOST_TOKENS, Sequences, Step, StepSettings, listed, one_of, step_of
from labs_lib.step.states import WholeStates
from labs_lib.training.field_files import read_fields
from labs_lib.yamls import NotYamlError, parse_yaml

if TYPE_CHECKING:
    from labs_lib.hardware import Hardware

STEP_NAMES = {
    "batch": "batch_size",
    "seq_len": "max_length",
    "targets": "target_modules",
    "double_quant": "double_quantization",
}
"""What a forecast calls otherwise than a recipe: the step's name → the recipe's."""


class Recipe(StepSettings):
    """How to fine-tune: a training step, and its data, schedule and seed.

    `alpha` is the LoRA numerator: the update is scaled by alpha/rank, or by alpha/√rank with
    `rslora` (arXiv 2106.09685 §4.1, arXiv 2312.03732). `steps` wins over `epochs`; one of the two
    must be given. A step sees `batch_size × accumulation` rows of at most `max_length` tokens.
    `train_rows` keeps only the first rows of the training set.
    Every `eval_every` steps the validation loss is taken (0: before training and after it alone).
    With `stop_when_worse` the run ends once so many of them in a row were not below the lowest, and
    the weights of the lowest are what it saves, whether or not it ended early.
    Raises `LabError` through `Recipe.of` and `Recipe.from_yaml`, in one line a problem.
    """

    model_config = ConfigDict(strict=True)

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    model: str = Field("smollm2-135m-instruct", min_length=1)
    alpha: float = Field(16, gt=0, le=65536)
    bias: Literal["none", "all", "lora_only"] = "none"
    target_modules: str | list[str] = Field(["q_proj", "v_proj"])
    quantization: Annotated[str, one_of(TRAINABLE)] = "nf4"
    double_quantization: bool = True
    learning_rate: float = Field(2e-4, gt=0, le=1)
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup_steps: int = Field(0, ge=0)
    steps: int | None = Field(None, ge=1, le=1_000_000)
    epochs: float | None = Field(None, gt=0, le=1000)
    batch_size: Sequences = 8
    max_length: int = Field(256, ge=8, le=MOST_TOKENS)
    seed: int = Field(0, ge=0, lt=2**32)
    dataset: str = Field("sea-captain", min_length=1)
    train_rows: int | None = Field(None, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint_every: int = Field(10, ge=0)
    eval_rows: int = Field(40, ge=0)
    eval_tokens: int = Field(40, ge=1, le=4096)
    eval_every: int = Field(0, ge=0)
    stop_when_worse: int = Field(0, ge=0)

    @field_validator("alpha", "dropout", "learning_rate", "epochs", mode="before")
    @classmethod
    def _whole_numbers_are_numbers(cls, value: Any) -> Any:
        # "1e-3" in quotes and the int 16 are both what a student means by a number.
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                return value
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator(
        *("rank", "warmup_steps", "steps", "batch_size", "accumulation", "max_length", "seed"),
        *("train_rows", "checkpoint_every", "eval_rows", "eval_tokens"),
        *("eval_every", "stop_when_worse"),
        mode="before",
    )
    @classmethod
    def _whole_floats_are_counts(cls, value: Any) -> Any:
        # YAML reads 1e3 and 8.0 as floats; a person means the whole number.
        return int(value) if isinstance(value, float) and value.is_integer() else value

    @field_validator("rslora", "double_quantization", "checkpointing", mode="before")
    @classmethod
    def _yes_is_true(cls, value: Any) -> Any:
        # YAML 1.1 reads yes and on as true, and people write them so.
        words = {"yes": True, "on": True, "no": False, "off": False}
        return words.get(value.lower(), value) if isinstance(value, str) else value

    @field_validator("target_modules")
    @classmethod
    def _targets_are_named(cls, value: str | list[str]) -> str | list[str]:
        names = listed(value) if isinstance(value, str) else value
        if not names or not all(names):
            raise ValueError("give 'all-linear', 'attention' or module names such as q_proj,v_proj")
        return names[0] if isinstance(value, str) and len(names) == 1 else names

    @field_validator("optimizer")
    @classmethod
    def _optimizer_trains(cls, value: str) -> str:
        if OPTIMIZERS[value].optim is None:
            legal = [name for name, each in OPTIMIZERS.items() if each.optim]
            raise ValueError(
                "transformers' trainer has no such optimizer; one of " + ", ".join(legal)
            )
        return value

    @model_validator(mode="after")
    def _one_length_of_training(self) -> Recipe:
        if self.steps is None and self.epochs is None:
            raise ValueError("give steps or epochs")
        if self.steps is not None and self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps must be below steps ({self.steps})")
        if self.stop_when_worse and not self.eval_every:
            raise ValueError(
                "stop_when_worse counts validation losses: give eval_every, the steps from one to "
                "the next"
            )
        return self

    @model_validator(mode="after")
    def _method_fits(self) -> Recipe:
        adapter = self.adapter
        if adapter is None:
            return self
        own = adapter.training.optimizer
        if own and not isinstance(OPTIMIZERS[self.optimizer].states, WholeStates):
            raise ValueError(
                f"optimizer: {self.method} brings an optimizer of its own, an AdamW; leave "
                f"{self.optimizer} out"
            )
        if adapter.training.after_step and self.stop_when_worse:
            raise ValueError(
                f"stop_when_worse: {self.method} cannot go back to earlier weights, which its "
                "ranks at the end no longer fit; leave it out"
            )
        return self

    @property
    def adapter_settings(self) -> AdapterSettings:
        """Return what PEFT's configuration is made of."""
        return AdapterSettings(self.rank, self.alpha, self.dropout, self.bias, self.rslora)

    def step(self, machine_precision: str = "bf16", **changes: Any) -> Step:
        """Return one step of this recipe as a forecast is asked for it, with `changes`.

        `machine_precision` is "bf16" or "fp32": what the recipe trains in where it leaves that to
        the machine. A trainer in bf16 multiplies under autocast ("mixed"); full fine-tuning then
        keeps its weights in fp32, and a quantized base is prepared as PEFT does.
        """
        fields = {name: getattr(self, name) for name in StepSettings.model_fields}
        fields |= {name: getattr(self, own) for name, own in STEP_NAMES.items()}
        how = METHODS.get(changes.get("method", self.method), self.how)
        precision = machine_precision if self.precision == "auto" else self.precision
        fields["precision"] = "mixed" if precision == "bf16" else precision
        fields["prepare_kbit"] = how.quantizes
        return step_of(**{**fields, **changes})

    @property
    def scaling(self) -> float:
        """Return what the product B·A is multiplied by: alpha/rank, or alpha/√rank."""
        by_root = self.rslora or self.adapter is RSLORA
        return self.alpha / (self.rank**0.5 if by_root else self.rank)

    @property
    def rows_per_step(self) -> int:
        """Return how many rows one optimizer step learns from."""
        return self.batch_size * self.accumulation

    def count_steps(self, rows: int) -> int:
        """Return the number of optimizer steps: `steps`, else enough for `epochs` over `rows`."""
        return self.steps or math.ceil(rows * (self.epochs or 1) / self.rows_per_step)

    def precision_on(self, machine: Hardware) -> str:
        """Return "bf16" or "fp32": the one asked for, or under "auto" the machine's own."""
        return machine.precision if self.precision == "auto" else self.precision

    @classmethod
    def of(cls, where: str = "recipe", **fields: Any) -> Recipe:
        """Build a recipe from keyword arguments; a mistake raises `LabError` in one line."""
        try:
            return cls(**fields)
        except ValidationError as error:
            raise _one_line(error, where) from None

    @classmethod
    def from_yaml(cls, path: str | Path, **overrides: Any) -> Recipe:
        """Read a recipe file and apply `overrides`.

        A recipe of the course is found from any folder: "sea-captain", "recipes/sea-captain.yaml".
        Raises `LabError` for a missing file, broken YAML (with its line) or an illegal field.
        """
        path = recipe_file(path)
        fields = read_fields("recipe", path, "rank: 8")
        return cls.of(path.name, **{**fields, **overrides})

    @classmethod
    def recorded(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a recipe that was written down, today's defaults filled in.

        A field that is younger than the note has had its default's effect.
        """
        return {**cls.model_construct().model_dump(), **fields}

    def but(self, **changes: Any) -> Recipe:
        """Return a copy with `changes`, checked again."""
        return Recipe.of("recipe", **{**self.model_dump(), **changes})


def parse_assignment(text: str, option: str = "--set") -> tuple[str, Any]:
    """Read one `--set key=value`; the value is YAML (`8`, `true`, `[q_proj, v_proj]`).

    `option` is the one that it was given to, which an error names.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise LabError(f"{option}: {text!r} is not key=value")
    if key.strip() not in Recipe.model_fields:
        raise choice_error(option, key.strip(), Recipe.model_fields)
    try:
        return key.strip(), parse_yaml(value)
    except NotYamlError as error:
        value = shorten(value)
        raise LabError(f"{option} {key}: {value} is not a value that YAML reads: {error}") from None


def _one_line(error: ValidationError, where: str) -> LabError:
    return explain_validation(error, Recipe, where)
