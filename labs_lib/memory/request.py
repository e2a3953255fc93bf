"""What is asked of a forecast: one fine-tuning step, described in full and checked."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from labs_lib.errors import LabError, choice_error, explain_validation
from labs_lib.step.optimizers import OPTIMIZERS, optimizer_name

METHODS = ("full", "lora", "qlora")
PRECISIONS = ("bf16", "fp32", "mixed")
QUANTIZATIONS = ("nf4", "fp4", "int8")
ATTENTIONS = ("sdpa", "eager")


class MemoryRequest(BaseModel):
    """One training step whose memory is asked for.

    `precision`: "bf16" holds weights, gradients and states in bf16; "fp32" in fp32; "mixed"
    keeps what is trained in fp32 and multiplies in bf16 (autocast). `batch` sequences of
    `seq_len` tokens go through at once; with `accumulation` > 1 the gradients stay alive through
    the next forward pass. `quantization`, `double_quant` and `prepare_kbit` matter to "qlora"
    alone: `prepare_kbit` is PEFT's `prepare_model_for_kbit_training`, which turns every weight
    that stayed in 16 bits into fp32. `adapter_precision` is PEFT's own default, fp32 over a bf16
    model (`autocast_adapter_dtype=True`). Without `targets` the adapter goes on q and v, or on
    the matrix that holds them. `device` decides how torch's AdamW steps: all parameters at once
    on CUDA, one after the other on a CPU.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    method: Literal["full", "lora", "qlora"] = "lora"
    rank: int = Field(8, ge=1, le=65536)
    targets: tuple[str, ...] | None = None
    batch: int = Field(1, ge=1, le=1_000_000)
    seq_len: int = Field(512, ge=2, le=10_000_000)
    precision: Literal["bf16", "fp32", "mixed"] = "bf16"
    adapter_precision: Literal["bf16", "fp32"] = "fp32"
    optimizer: str = "adamw"
    checkpointing: bool = False
    quantization: Literal["nf4", "fp4", "int8"] = "nf4"
    double_quant: bool = True
    prepare_kbit: bool = False
    attention: Literal["sdpa", "eager"] = "sdpa"
    rslora: bool = False
    dora: bool = False
    dropout: float = Field(0.0, ge=0, lt=1)
    accumulation: int = Field(1, ge=1, le=1_000_000)
    device: Literal["cuda", "cpu"] = "cuda"

    @field_validator("targets", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if value is None:
            return None
        names = value.split(",") if isinstance(value, str) else list(value)
        names = [text for name in names if (text := str(name).strip())]
        if not names:
            raise ValueError("give 'all-linear' or module names such as q_proj,v_proj")
        # One name twice is one target: PEFT keeps a set.
        return tuple(dict.fromkeys(names))

    @field_validator("optimizer")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return optimizer_name(value)
        except LabError:
            raise ValueError("one of " + ", ".join(OPTIMIZERS)) from None

    @model_validator(mode="after")
    def _fits_together(self) -> MemoryRequest:
        if self.dora and self.method == "full":
            raise ValueError("dora: True is not legal with method full; it needs lora or qlora")
        return self

    @property
    def tokens(self) -> int:
        """Return the tokens of one forward pass: batch × seq_len."""
        return self.batch * self.seq_len

    @property
    def weight_itemsize(self) -> int:
        """Return the bytes of one weight of the base model (one that isn't quantised)."""
        trains_in_fp32 = self.precision == "mixed" and self.method == "full"
        return 4 if self.precision == "fp32" or trains_in_fp32 else 2

    @property
    def adapter_itemsize(self) -> int:
        """Return the bytes of one adapter parameter."""
        return 4 if self.precision == "fp32" or self.adapter_precision == "fp32" else 2

    @property
    def compute_itemsize(self) -> int:
        """Return the bytes of one activation."""
        return 4 if self.precision == "fp32" else 2

    def but(self, **changes: Any) -> MemoryRequest:
        """Return a copy with `changes`, checked again."""
        return request_of(**{**self.model_dump(), **changes})


def request_of(model: str | MemoryRequest, **fields: Any) -> MemoryRequest:
    """Build a request; a mistake raises `LabError` in one line, with the nearest legal name."""
    if isinstance(model, MemoryRequest):
        return model.but(**fields) if fields else model
    for name, legal in (
        ("method", METHODS),
        ("precision", PRECISIONS),
        ("quantization", QUANTIZATIONS),
        ("attention", ATTENTIONS),
    ):
        if name in fields and fields[name] not in legal:
            raise choice_error(name, fields[name], legal)
    if "optimizer" in fields:
        fields["optimizer"] = optimizer_name(fields["optimizer"])
    try:
        return MemoryRequest(model=model, **fields)
    except ValidationError as error:
        raise explain_validation(error, MemoryRequest) from None
    except TypeError as error:
        raise LabError(str(error)) from None
