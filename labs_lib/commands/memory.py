"""`labs memory`: what fine-tuning a model costs in bytes, and whether it fits a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from labs_lib import paths
from labs_lib.commands import course_file
from labs_lib.commands.numbers import DECIMAL, WHOLE
from labs_lib.errors import LabError
from labs_lib.memory.estimating import estimate, traced
from labs_lib.memory.fitting import (
    EXIT_STATUS,
    By,
    Card,
    Fit,
    FitOfEach,
    cards,
    describe,
    fit,
    fit_of_each,
)
from labs_lib.memory.fitting import card as find_card
from labs_lib.memory.result import KINDS, Forecast, format_bytes
from labs_lib.step.bases import QUANTIZED
from labs_lib.step.methods import METHODS
from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.step.plan import ATTENTIONS, PRECISIONS, Step, step_of

if TYPE_CHECKING:
    from labs_lib.memory.sharding import Sharded

_RECIPES = (".yaml", ".yml")


def _option(name: str, **how: Any) -> Any:
    """Return a click option of this name, with the default that a step has."""
    default = Step.model_fields[name.replace("-", "_")].default
    return click.option(f"--{name}", default=default, **how)


@click.command("memory", context_settings={"show_default": True})
@click.argument("model")
@_option("method", help=" | ".join(METHODS))
@_option("rank", type=WHOLE, help="Rank of the adapter.")
@click.option("--targets", default=None, help="q_proj,v_proj | all-linear | …  [default: q and v]")
@_option("batch", type=WHOLE, help="Sequences a step.")
@_option("seq-len", type=WHOLE, help="Tokens a sequence.")
@_option("precision", help=" | ".join(PRECISIONS))
@_option("adapter-precision", help="bf16 | fp32 (PEFT's default)")
@_option("optimizer", help=" | ".join(OPTIMIZERS))
@_option("quantization", help=" | ".join(QUANTIZED) + ", for qlora")
@click.option("--double-quant/--no-double-quant", default=True, help="8-bit absmax, for qlora.")
@click.option("--prepare-kbit", is_flag=True, help="PEFT's prepare_model_for_kbit_training.")
@_option("attention", help=" | ".join(ATTENTIONS))
@_option("accumulation", type=WHOLE, help="Micro-batches an optimizer step.")
@_option("dropout", type=DECIMAL, help="LoRA dropout.")
@click.option("--rslora", is_flag=True, help="Scale by alpha/√rank (costs no memory).")
@click.option("--dora", is_flag=True, help="Weight-decomposed LoRA.")
@click.option("--checkpointing", is_flag=True, help="Recompute activations layer by layer.")
@click.option("--trace", "by_trace", is_flag=True, help="Run the real code on shapes.")
@click.option("--reserved", is_flag=True, help="Trace every layer and torch's allocator too.")
@click.option("--gpus", default=1, type=WHOLE, help="Devices; batch is that of each.")
@click.option("--sharding", default="fsdp", help="fsdp | ddp, for more than one GPU.")
@click.option("--offload", is_flag=True, help="FSDP: shards in the computer's memory.")
@click.option("--serve", "served", is_flag=True, help="Also what answering takes, with its cache.")
@click.option("--measure", "measured", is_flag=True, help="Also run one real step here.")
@click.option("--card", default=None, help="Does it fit this GPU, and what to turn.")
@click.option("--timeline", type=click.Path(path_type=Path), help="Draw the step to this PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_context
def command(
    context: click.Context,
    model: str,
    by_trace: bool,
    reserved: bool,
    gpus: int,
    sharding: str,
    offload: bool,
    served: bool,
    measured: bool,
    card: str | None,
    timeline: Path | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Forecast the memory of fine-tuning MODEL: a catalogue name, a config.json, or a recipe.

    A recipe (NAME.yaml) says all of the step itself; options that are given change it. Without
    --trace the answer is a formula's, at once; a model that the formula does not know is traced.
    Figures for people are in GiB (2³⁰ bytes); JSON holds bytes. With --card the exit status is 0
    where it fits, 1 where it does not, and 3 where what the allocator reserves decides.
    """
    request = _step(model, fields, context)
    on = find_card(card) if card is not None else None
    if timeline:
        _check_picture(timeline)
    if timeline or reserved:
        from labs_lib.memory.tracing import trace

        result = trace(request, whole=True)
    else:
        result = traced(request) if by_trace or measured else estimate(request)
    content = result.as_dict()
    several = _several(request, context, gpus=gpus, strategy=sharding, offload=offload)
    fitted = _fitted(result, on, traced if by_trace else estimate, several) if on else None
    if several:
        content["on_each_gpu"] = several.as_dict()
    if fitted:
        content["fit"] = fitted.as_dict()
    if served:
        from labs_lib.memory.inference import serve

        content["serving"] = serve(request).as_dict()
    if measured:
        from labs_lib.memory.measuring import measure

        content["measured"] = measure(request).as_dict()
    if timeline and result.timeline:
        from labs_lib import figures
        from labs_lib.memory.picture import timeline_figure

        figures.save(timeline_figure(result.timeline, str(result))[0], timeline)
        content["timeline"] = str(timeline)
    if as_json:
        click.echo(json.dumps(content, indent=2, allow_nan=False))
    else:
        _print(result, content, fitted)
    if fitted:
        context.exit(EXIT_STATUS[fitted.verdict])


def _several(request: Step, context: click.Context, **how: Any) -> Sharded | None:
    """Return the forecast for several GPUs, if they are asked for."""
    given = [
        name
        for name in ("gpus", "sharding", "offload")
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if not given:
        return None
    from labs_lib.memory.sharding import shard

    return shard(request, **how)


def _fitted(result: Forecast, on: Card, by: By, several: Sharded | None) -> Fit | FitOfEach:
    """Return whether it fits the card, or each of several."""
    return fit_of_each(several, on) if several else fit(result.request, on, by=by)


def _step(model: str, fields: dict[str, Any], context: click.Context) -> Step:
    """Return the step that is asked for, of a model or of a recipe."""
    if Path(model).suffix.lower() not in _RECIPES:
        return step_of(model, **fields)
    from labs_lib.training.recipe import Recipe

    given = {
        name: value
        for name, value in fields.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    return Recipe.from_yaml(course_file(paths.recipe_file, model)).step(**given)


def _check_picture(path: Path) -> None:
    """Raise `LabError` before the seconds of a trace, not after them."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir():
        reason = "is a folder" if path.is_dir() else f"there is no folder {str(folder)!r}"
        raise LabError(f"timeline: {str(path)!r}: {reason}; give the name of a PNG file")


def _print(result: Forecast, content: dict[str, Any], fitted: Fit | FitOfEach | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    request = result.request
    table = Table(title=str(result), title_justify="left")
    table.add_column("GiB")
    table.add_column("whole", justify="right")
    table.add_column("at the peak", justify="right")
    whole = {
        "weights": result.weights_bytes,
        "adapter": result.adapter_bytes,
        "optimizer": result.optimizer_bytes,
        "gradients": result.gradients_bytes,
        "activations": result.activations_bytes,
    }
    for kind in KINDS:
        first = f"{whole[kind] / 2**30:.3f}" if kind in whole else ""
        table.add_row(kind, first, f"{result.at_peak[kind] / 2**30:.3f}")
    table.add_row("peak", "", f"{result.peak_bytes / 2**30:.3f}")
    console.print(table)
    share = result.trainable_parameters / result.total_parameters
    console.print(
        f"{result.trainable_parameters:,} of {result.total_parameters:,} parameters are trained "
        f"({share:.4%}); the peak is in the {result.peak_moment.removeprefix('the ')}."
    )
    if request.targets is None and not request.trains_all:
        console.print("Adapter on q and v (or the matrix that holds them); --targets changes it.")
    if result.reserved_bytes:
        console.print(
            f"torch's allocator reserves {format_bytes(result.reserved_bytes)}; CUDA's context "
            "takes some hundred MiB more."
        )
    for note in result.notes:
        console.print(f"Note: {note}")
    for line in [*_lines_on_more(content), *_lines_on_the_card(fitted)]:
        console.print(line)
    if "measured" in content:
        found = content["measured"]
        console.print(
            f"Measured on {found['device']}: {format_bytes(found['measured_peak_bytes'])}, "
            f"forecast {format_bytes(found['forecast_peak_bytes'])} "
            f"({found['difference']:+.2%})."
        )
    if "timeline" in content:
        console.print(f"Timeline: {content['timeline']}")


def _lines_on_the_card(fitted: Fit | FitOfEach | None) -> list[str]:
    """Return whether it fits, and what is the most that does."""
    if fitted is None:
        return [f"--card says whether it fits: {', '.join(cards())}."]
    if isinstance(fitted, FitOfEach):
        return [str(fitted)]
    return [
        *describe(fitted),
        f"Largest here: batch {fitted.largest_batch}, seq_len {fitted.largest_seq_len}, "
        f"rank {fitted.largest_rank}, model {fitted.largest_model or 'none'}.",
    ]


def _lines_on_more(content: dict[str, Any]) -> list[str]:
    """Return what is said of several GPUs and of answering, if they were asked for."""
    lines: list[str] = []
    if "on_each_gpu" in content:
        each = content["on_each_gpu"]
        parts = sorted(each["at_peak"].items(), key=lambda item: -item[1])
        named = ", ".join(f"{kind} {size / 2**30:.2f}" for kind, size in parts if size)
        off = ", shards in the computer's memory" if each["offload"] else ""
        moment = each["peak_moment"].removeprefix("the ")
        lines.append(
            f"On each of {each['gpus']} GPUs ({each['strategy'].upper()}{off}): peak "
            f"{format_bytes(each['peak_bytes'])} in the {moment}: {named}. "
            f"It holds {format_bytes(each['held_bytes'])} between steps and sends "
            f"{format_bytes(each['sent_bytes'])} in one."
        )
        if each["offload"]:
            lines.append(f"The computer's memory holds {format_bytes(each['host_bytes'])}.")
    if "serving" in content:
        made = content["serving"]
        lines.append(
            f"Answering the same batch: peak {format_bytes(made['peak_bytes'])}, of it "
            f"{format_bytes(made['cache_bytes'])} cache "
            f"({made['cache_bytes_per_token'] / 2**10:.1f} KiB a token)."
        )
    return lines
