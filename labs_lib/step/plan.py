"""A training step in full: which model, method, targets, batch, optimizer; checked when built.

`StepSettings` holds what a recipe and a forecast call by the same names, with its limits and
defaults; `Step` adds what only the forecast's request has. `Recipe.step()` turns one into the
other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from labs_lib.errors import LabError, choice_error, explain_validation
from labs_lib.step.adapters import DORA, LORA, Adapter, AdapterSettings
from labs_lib.step.bases import PLAIN, QUANTIZED, PlainBase, QuantizedBase
from labs_lib.step.methods import METHODS, Method
from labs_lib.step.optimizers import OPTIMIZERS, optimizer_name

PRECISIONS = ("bf16", "fp32", "mixed")
ATTENTIONS = ("sdpa", "eager")

Sequences = Annotated[int, Field(ge=1, le=1_000_000)]
"""How many sequences go through at once."""
MOST_TOKENS = 10_000_000

S = TypeVar("S", bound="StepSettings")


def one_of(names: Iterable[str]) -> AfterValidator:
    """Return a validator that accepts these names, in pydantic's own words for a `Literal`."""

    def check(value: str) -> str:
        legal = list(names)
        if value not in legal:
            quoted = [repr(name) for name in legal]
            raise ValueError(f"input should be {', '.join(quoted[:-1])} or {quoted[-1]}")
        return value

    return AfterValidator(check)


def listed(targets: Any) -> Any:
    """Return target names as a list, from a list or from a text with commas."""
    names = targets.split(",") if isinstance(targets, str) else targets
    return [str(name).strip() for name in names]


class StepSettings(BaseModel):
    """What a recipe and a forecast's request have in common, by the same names.

    `rank` and `dropout` are the adapter's; `rslora` scales it by alpha/√rank. `quantization` is
    the type of a quantized base. The gradients of `accumulation` batches are added up before the
    optimizer steps. `checkpointing` runs every layer forward twice and keeps less of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    method: Annotated[str, one_of(METHODS)] = "lora"
    rank: int = Field(8, ge=1, le=65536)
    dropout: float = Field(0.0, ge=0, lt=1)
    rslora: bool = False
    quantization: Annotated[str, one_of(QUANTIZED)] = "nf4"
    accumulation: Sequences = 1
    checkpointing: bool = False
    optimizer: str = "adamw_fused"

    @field_validator("optimizer")
    @classmethod
    def _optimizer_is_known(cls, value: str) -> str:
        try:
            return optimizer_name(value)
        except LabError:
            raise ValueError("one of " + ", ".join(OPTIMIZERS)) from None

    @property
    def how(self) -> Method:
        """Return the method itself, by its name."""
        return METHODS[self.method]

    @property
    def adapter(self) -> Adapter | None:
        """Return the adapter that is trained; None where every weight is."""
        return self.how.adapter

    @property
    def trains_all(self) -> bool:
        """Return whether every weight of the base is trained."""
        return self.how.trains_all

    @property
    def quantizes(self) -> bool:
        """Return whether the base is quantized."""
        return self.how.quantizes


class Step(StepSettings):
    """One training step whose memory is asked for.

    `precision`: "bf16" holds weights, gradients and states in bf16; "fp32" in fp32; "mixed"
    keeps what is trained in fp32 and multiplies in bf16 (autocast). `batch` sequences of
    `seq_len` tokens go through at once; with `accumulation` > 1 the gradients stay alive through
    the next forward pass. `quantization`, `double_quant` and `prepare_kbit` matter to a quantized
    base alone: `prepare_kbit` is PEFT's `prepare_model_for_kbit_training`, which turns every
    weight that stayed in 16 bits into fp32. `adapter_precision` is PEFT's own default, fp32 over a
    bf16 model (`autocast_adapter_dtype=True`). Without `targets` the adapter goes on q and v, or
    on the matrix that holds them. `device` decides how torch's AdamW steps: all parameters at once
    on CUDA, one after the other on a CPU.
    """

    targets: tuple[str, ...] | None = None
    batch: Sequences = 1
    seq_len: int = Field(512, ge=2, le=MOST_TOKENS)
    precision: Literal["bf16", "fp32", "mixed"] = "bf16"
    adapter_precision: Literal["bf16", "fp32"] = "fp32"
    optimizer: str = "adamw"
    double_quant: bool = True
    prepare_kbit: bool = False
    attention: Literal["sdpa", "eager"] = "sdpa"
    dora: bool = False
    device: Literal["cuda", "cpu"] = "cuda"

    @field_validator("targets", mode="before")
    @classmethod
    def _targets_are_named(cls, value: Any) -> Any:
        if value is None:
            return None
        names = [name for name in listed(value) if name]
        if not names:
            raise ValueError("give 'all-linear' or module names such as q_proj,v_proj")
        # One name twice is one target: PEFT keeps a set.
        return tuple(dict.fromkeys(names))

    @model_validator(mode="after")
    def _fits_together(self) -> Step:
        if self.dora and self.how.adapter not in (LORA, DORA):
            raise ValueError(
                f"dora: True is not legal with method {self.method}; it needs lora or qlora"
            )
        return self

    @property
    def adapter(self) -> Adapter | None:
        """Return the adapter that is trained; None where every weight is."""
        return DORA if self.dora else self.how.adapter

    @property
    def adapter_settings(self) -> AdapterSettings:
        """Return what PEFT's configuration is made of; alpha costs no memory."""
        return AdapterSettings(self.rank, 2 * self.rank, self.dropout, rslora=self.rslora)

    @property
    def base(self) -> PlainBase | QuantizedBase:
        """Return how the linear maps of the base are held."""
        if self.quantizes:
            return QUANTIZED[self.quantization]
        return PLAIN["fp32" if self.weight_itemsize == 4 else "bf16"]

    @property
    def tokens(self) -> int:
        """Return the tokens of one forward pass: batch × seq_len."""
        return self.batch * self.seq_len

    @property
    def weight_itemsize(self) -> int:
        """Return the bytes of one weight of the base model (one that isn't quantized)."""
        trains_in_fp32 = self.precision == "mixed" and self.trains_all
        return 4 if self.precision == "fp32" or trains_in_fp32 else 2

    @property
    def adapter_itemsize(self) -> int:
        """Return the bytes of one adapter parameter."""
        return 4 if self.precision == "fp32" or self.adapter_precision == "fp32" else 2

    @property
    def compute_itemsize(self) -> int:
        """Return the bytes of one activation."""
        return 4 if self.precision == "fp32" else 2

    def but(self, **changes: Any) -> Step:
        """Return a copy with `changes`, checked again."""
        return step_of(**{**self.model_dump(), **changes})


def step_of(model: str | Step, **fields: Any) -> Step:
    """Build a step; a mistake raises `LabError` in one line, with the nearest legal name."""
    if isinstance(model, Step):
        return model.but(**fields) if fields else model
    for name, legal in (
        ("method", METHODS),
        ("precision", PRECISIONS),
        ("quantization", QUANTIZED),
        ("attention", ATTENTIONS),
    ):
        if name in fields and fields[name] not in tuple(legal):
            raise choice_error(name, fields[name], legal)
    if "optimizer" in fields:
        fields["optimizer"] = optimizer_name(fields["optimizer"])
    try:
        return Step(model=model, **fields)
    except ValidationError as error:
        raise explain_validation(error, Step) from None
    except TypeError as error:
        raise LabError(str(error)) from None
