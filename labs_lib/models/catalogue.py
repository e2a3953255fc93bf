"""The catalogue of architectures: shapes, licences and module names, without loading torch."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from labs_lib.errors import LabError, choice_error
from labs_lib.yamls import read_yaml

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_FILES = ("catalogue.yaml", "catalogue_newer.yaml", "catalogue_experts.yaml")

Dimension = Literal["hidden", "query", "key_value", "intermediate"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class LinearTemplate(_Frozen):
    """One linear map of a decoder layer, its sizes names of dimensions or numbers.

    `layers` limits it to the first layers, `first_k_dense_replace` of them, or to the rest.
    """

    module: str
    input: Dimension | int = Field(alias="in")
    outputs: tuple[Dimension | int, ...] = Field(alias="out")
    bias: bool = False
    layers: Literal["all", "first", "rest"] = "all"


class Family(_Frozen):
    """How a transformers class is built, whatever its size.

    `experts` says that a layer's experts are stacked parameters, which no linear map here is.
    """

    model_type: str
    architecture: str
    layer_path: str
    linears: tuple[LinearTemplate, ...]
    fan_in_fan_out: bool = False
    experts: bool = False


class LinearShape(_Frozen):
    """One linear map of a decoder layer.

    `module` is its path inside the layer (`self_attn.q_proj`).  The weight is
    (out_features, in_features), or (in_features, out_features) where the family says
    `fan_in_fan_out`.
    """

    module: str
    in_features: int
    out_features: int
    bias: bool

    @property
    def name(self) -> str:
        """Return the module's own name, `q_proj`."""
        return self.module.rpartition(".")[2]

    @property
    def role(self) -> Literal["attention", "mlp"]:
        """Return which half of the layer the map belongs to."""
        return "attention" if "att" in self.module.partition(".")[0] else "mlp"

    @property
    def parameters(self) -> int:
        """Return the number of parameters, bias included."""
        return self.in_features * self.out_features + (self.out_features if self.bias else 0)


class Entry(_Frozen):
    """One model of the catalogue: what it is called, who may use it, how large it is.

    `parameters` counts tied weights once.  `config` holds the keyword arguments of
    `AutoConfig.for_model`; the properties read the sizes out of it under one name each. `source`
    says where its values were read, where that is not the config.json under `hub_name`.
    """

    name: str
    family: Family
    hub_name: str
    licence: str
    parameters: int
    config: dict[str, Any]
    source: str = ""
    same_shapes: tuple[str, ...] = ()
    bundled: bool = False

    def _size(self, *keys: str) -> int:
        return next(self.config[key] for key in keys if self.config.get(key) is not None)

    @property
    def hidden_size(self) -> int:
        """Return the width of the residual stream."""
        return self._size("hidden_size", "n_embd")

    @property
    def layers(self) -> int:
        """Return the number of decoder layers."""
        return self._size("num_hidden_layers", "n_layer")

    @property
    def heads(self) -> int:
        """Return the number of query heads."""
        return self._size("num_attention_heads", "n_head")

    @property
    def key_value_heads(self) -> int:
        """Return the number of key/value heads: fewer than `heads` under grouped queries."""
        if self.config.get("multi_query"):
            return 1
        return self.config.get("num_key_value_heads") or self.heads

    @property
    def head_size(self) -> int:
        """Return the width of one head: its share of hidden where the configuration names none."""
        return self.config.get("head_dim") or self.hidden_size // self.heads

    @property
    def intermediate_size(self) -> int:
        """Return the width inside the MLP: 4 × hidden where the configuration names none."""
        names = ("intermediate_size", "n_inner", "ffn_hidden_size")
        return next((self.config[n] for n in names if self.config.get(n)), 4 * self.hidden_size)

    @property
    def vocab_size(self) -> int:
        """Return the number of rows of the embedding."""
        return self._size("vocab_size")

    @property
    def max_positions(self) -> int:
        """Return the longest sequence, in tokens, that the model was published for."""
        return self._size("max_position_embeddings", "n_positions")

    @property
    def tie_word_embeddings(self) -> bool:
        """Return whether `lm_head` is the embedding matrix itself."""
        return self.config["tie_word_embeddings"]

    @property
    def fan_in_fan_out(self) -> bool:
        """Return whether the layers' weights are stored (in, out), as GPT-2's `Conv1D` does."""
        return self.family.fan_in_fan_out

    @property
    def linears(self) -> tuple[LinearShape, ...]:
        """Return the linear maps of one decoder layer, in the order of the model's code.

        Where the first layers are others than the rest, those of both.
        """
        return tuple(self._shape(template) for template in self.family.linears)

    def _shape(self, template: LinearTemplate) -> LinearShape:
        sizes: dict[Dimension | int, int] = {
            "hidden": self.hidden_size,
            "query": self.heads * self.head_size,
            "key_value": self.key_value_heads * self.head_size,
            "intermediate": self.intermediate_size,
        }

        def size(of: Dimension | int) -> int:
            return of if isinstance(of, int) else sizes[of]

        return LinearShape(
            module=template.module,
            in_features=size(template.input),
            out_features=sum(size(output) for output in template.outputs),
            bias=template.bias,
        )

    @property
    def attention_modules(self) -> tuple[str, ...]:
        """Return the in-layer paths of the attention's linear maps."""
        return tuple(linear.module for linear in self.linears if linear.role == "attention")

    def linear_modules(self) -> dict[str, LinearShape]:
        """Return every linear map of the decoder layers by its full module path."""
        first = self.config.get("first_k_dense_replace") or 0
        return {
            f"{self.family.layer_path}.{layer}.{template.module}": self._shape(template)
            for layer in range(self.layers)
            for template in self.family.linears
            if template.layers in ("all", "first" if layer < first else "rest")
        }


@functools.cache
def catalogue() -> dict[str, Entry]:
    """Return every entry by its catalogue name, in the order of the files."""
    contents = [read_yaml(Path(__file__).with_name(name)) for name in _FILES]
    families = {
        name: Family(**fields)
        for content in contents
        for name, fields in content["families"].items()
    }
    return {
        name: Entry(name=name, **{**fields, "family": families[fields["family"]]})
        for content in contents
        for name, fields in content["models"].items()
    }


def find(name: str) -> Entry | None:
    """Return the model of exactly this catalogue name or hub name, in any case, or None.

    A sibling of the same shapes (`same_shapes`: the base beside the chat model) has other weights.
    It is an entry of its own, under its own hub name.
    """
    return _by_lowered_name().get(str(name).strip().lower())


def entry(name: str) -> Entry:
    """Return the entry with this catalogue name or hub name, in any case.

    Raises `LabError` with the nearest name when there is none.
    """
    found = find(name)
    if found is None:
        raise unknown_model(name)
    return found


def unknown_model(name: object) -> LabError:
    """Build the error for a name that no entry has: the catalogue's names, and the nearest."""
    text = str(name)
    hub_names = [each.hub_name for each in _every_model()]
    if "/" not in text:
        # Short hub names are legal too ("Qwen2.5-0.5B-Instruct") and may be the nearest.
        hub_names = [each.rpartition("/")[2] for each in hub_names]
    return choice_error("model", text, catalogue(), aliases=hub_names)


def config_of(name: str | Entry) -> PretrainedConfig:
    """Return the transformers configuration of a catalogue entry, ready for `from_config`."""
    from transformers import AutoConfig

    model = name if isinstance(name, Entry) else entry(name)
    return AutoConfig.for_model(
        model.family.model_type,
        architectures=[model.family.architecture],
        **copy.deepcopy(model.config),  # some families complete what they are given, in place
    )


@functools.cache
def _by_lowered_name() -> dict[str, Entry]:
    # A catalogue name wins over the last part of a hub name.
    found = {each.name.lower(): each for each in catalogue().values()}
    for each in _every_model():
        # The hub's own short names ("gpt2") and last parts ("Llama-2-7b-hf") are in daily use.
        for name in (each.hub_name, each.hub_name.rpartition("/")[2]):
            found.setdefault(name.lower(), each)
    return found


@functools.cache
def _every_model() -> tuple[Entry, ...]:
    """Return the catalogue's entries and their siblings, each under its own hub name."""
    return tuple(
        model
        for each in catalogue().values()
        for model in (each, *(_sibling(each, name) for name in each.same_shapes))
    )


def _sibling(model: Entry, hub_name: str) -> Entry:
    name = hub_name.rpartition("/")[2].lower()
    changes = {"name": name, "hub_name": hub_name, "same_shapes": (), "bundled": False}
    return model.model_copy(update=changes)
