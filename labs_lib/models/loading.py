"""A model and its tokenizer from one name: bundled, a local folder, or a hub.

Importing torch and transformers takes some seconds, and the first model class of a family two
or three more (it brings the generation code); both wait for the first call.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError, choice_error, nearest, shorten
from labs_lib.jsons import read_json
from labs_lib.models.bundled import BUNDLED_NAME, prepare_bundled
from labs_lib.models.catalogue import catalogue, find, unknown_model
from labs_lib.models.chat import check_template_ends
from labs_lib.quiet import quiet_loading
from labs_lib.step.bases import QUANTIZED, TRAINABLE
from labs_lib.texts import UnreadableError

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

_DTYPES = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "float32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_SECONDS_TO_ANSWER = 5.0
_MOST_JSON_BYTES = 1 << 26  # the index of a model in a thousand parts has 16 MB
_LONGEST_NAME = 4096  # as long as a path may be on Linux
_OFFLINE = f"without a hub there are {BUNDLED_NAME} and any local folder in safetensors"


@dataclass(frozen=True)
class Source:
    """Where a name leads: `location` is a folder on disk or a repository on a hub."""

    name: str
    location: str
    local: bool


def load_model(
    name: str | Path = BUNDLED_NAME,
    dtype: str | torch.dtype | None = None,
    quantization: str | BitsAndBytesConfig | None = None,
    device: str | torch.device | None = None,
) -> PreTrainedModel:
    """Return the model in evaluation mode, on `device`.

    `name` is a catalogue name, a local folder, or a hub name; weights are read from
    safetensors only and no code that comes with them is run.  `dtype` is `fp32`, `bf16`,
    `fp16` or a torch dtype; None takes the one this machine computes fastest in.
    `quantization` is None, `nf4` or `fp4` (with double quantization, as QLoRA has it) or a
    `BitsAndBytesConfig`.  `device` None takes the best one there is.

    Raises `LabError` in one line for a name that leads nowhere, a folder without usable
    weights, a damaged file, or a hub that cannot be reached.
    """
    source = locate(name)
    # Every cheap check comes before the seconds that the imports take.
    checked_dtype = _dtype_name(dtype)
    _check_quantization(quantization)
    if source.local:
        check_folder(Path(source.location))
    import torch
    from transformers import AutoModelForCausalLM

    from labs_lib.hardware import detect
    from labs_lib.quantization import forbid_repacking_if_loaded

    if checked_dtype is None:
        checked_dtype = _DTYPES[detect().precision]
    wanted = getattr(torch, checked_dtype)
    target = str(device or detect().device)
    _check_device(target)
    # A weight of another shape is told by name below; the library's own report is silenced.
    options: dict[str, Any] = {
        "dtype": wanted,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,
    }
    if quantization is not None:
        options["quantization_config"] = _quantization_config(quantization, wanted)
    if quantization is not None or not target.startswith("cpu"):
        options["device_map"] = {"": _with_number(target)}
    with quiet_loading(), _in_one_line(source), _no_long_wait(source):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source.location, trust_remote_code=False, use_safetensors=True, **options
        )
    forbid_repacking_if_loaded()  # before the model is asked anything
    model, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        raise LabError(
            f"{source.name} lacks {len(missing)} of its weights (first: {missing[0]}); "
            f"the folder is incomplete or holds another architecture",
            field="model",
        )
    if mismatched := sorted(report["mismatched_keys"], key=str):
        first, stored, built = mismatched[0][:3]
        raise LabError(
            f"{source.name} holds {len(mismatched)} weights of another shape than its "
            f"config.json says (first: {first}, {list(stored)} for {list(built)}); the two do not "
            "belong together",
            field="model",
        )
    return model.eval()


def load_tokenizer(name: str | Path = BUNDLED_NAME) -> PreTrainedTokenizerBase:
    """Return the tokenizer of `name`, with its own chat template.

    Where a model was published without a padding token (GPT-2, Llama) the end-of-text token
    stands in for it.  Raises `LabError` as `load_model` does, and for a chat template that attacks
    or does not end.
    """
    source = locate(name)
    if source.local:
        check_tokenizer_folder(Path(source.location))
    from transformers import AutoTokenizer

    with quiet_loading(), _in_one_line(source), _no_long_wait(source):
        tokenizer = AutoTokenizer.from_pretrained(source.location, trust_remote_code=False)
    if tokenizer.pad_token is None:
        # Padding is masked, so any token will do where there is no end of text either.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    check_template_ends(tokenizer)
    return tokenizer


def load(
    name: str | Path = BUNDLED_NAME, **options: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return `(load_model(name, **options), load_tokenizer(name))`."""
    return load_model(name, **options), load_tokenizer(name)


def locate(name: str | Path) -> Source:
    """Return where `name` leads; converts the bundled model on the way if that is it.

    The bundled name comes first, then a folder on disk, then the catalogue and the hub. A name
    leads to the model of exactly that name or, in a `LabError`, to the nearest ones.
    """
    text = str(name).strip()
    if not text:
        raise unknown_model(text)
    if len(text) > _LONGEST_NAME or "\0" in text:
        raise LabError(f"{shorten(text)} is no name of a model and no path", field="model")
    found = find(text)
    if found and found.bundled:
        return Source(found.name, str(prepare_bundled()), local=True)
    try:
        folder = Path(text).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError) as error:  # RuntimeError: ~ with a user that is none
        reason = getattr(error, "strerror", None) or error
        raise LabError(f"{shorten(text)}: {reason}", field="model") from None
    if is_folder:
        return Source(text, str(folder), local=True)
    if folder.is_file():
        inside = (folder.parent / "config.json").is_file()
        hint = f"; did you mean {str(folder.parent)!r}?" if inside else ""
        raise LabError(f"{shorten(text)}: is a file, not a folder{hint}", field="model")
    if isinstance(name, Path) or text[0] in ".~" or folder.is_absolute() or "\\" in text:
        raise LabError(f"{shorten(text)}: there is no such folder", field="model")
    if found:
        return Source(text, found.hub_name, local=False)
    if text.count("/") != 1:
        raise unknown_model(text)
    return Source(text, text, local=False)


def check_folder(folder: Path) -> None:
    """Raise `LabError` unless `folder` holds a readable config.json and whole safetensors."""
    config_file = folder / "config.json"
    if not config_file.is_file():
        if (folder / "adapter_config.json").is_file():
            raise LabError(
                f"{folder} holds an adapter, not a model; load its base model instead",
                field="model",
            )
        raise LabError(f"{folder} holds no config.json, so it is not a model folder", field="model")
    config = _read_json(config_file, folder)
    if not isinstance(config, dict) or not config.get("model_type"):
        raise LabError(f"{folder}: config.json names no model_type", field="model")
    files = _weight_files(folder)
    if not files:
        if any(list(folder.glob(pattern)) for pattern in _PICKLES):
            raise LabError(
                f"{folder} holds only pickle weights (.bin, .pt), which can run code when they are "
                f"loaded; save the model again as safetensors",
                field="model",
            )
        raise LabError(f"{folder} holds no .safetensors weights", field="model")
    from safetensors import SafetensorError, safe_open

    for file in files:
        try:  # opening reads the header and compares it with the file's length
            with safe_open(file, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise LabError(
                f"{folder}: {file.name} is damaged or cut short ({error}); copy or save it again",
                field="model",
            ) from error


def check_tokenizer_folder(folder: Path) -> None:
    """Raise `LabError` unless `folder` holds tokenizer files."""
    names = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
    if not any((folder / name).is_file() for name in names):
        raise LabError(f"tokenizer: {folder} holds no tokenizer.json")


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / "model.safetensors").is_file():
        content = _read_json(index, folder)
        try:
            files = [folder / name for name in sorted(set(content["weight_map"].values()))]
        except (KeyError, TypeError, AttributeError) as error:
            raise LabError(f"{folder}: {index.name} holds no weight_map", field="model") from error
        for file in files:
            if not file.is_file():
                raise LabError(
                    f"{folder}: {file.name} is named in {index.name} but missing", field="model"
                )
        return files
    file = folder / "model.safetensors"
    return [file] if file.is_file() else []


def _read_json(file: Path, folder: Path) -> Any:
    try:
        # Python writes Infinity, and Mamba's configurations hold one.
        return read_json(file, _MOST_JSON_BYTES, allow_nan=True)
    except UnreadableError as error:
        raise LabError(
            f"{folder}: cannot read {file.name}: {error.reason}", field="model"
        ) from None


def _dtype_name(dtype: str | torch.dtype | None) -> str | None:
    if dtype is None:
        return None
    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES:
        raise choice_error("dtype", dtype, ("fp32", "bf16", "fp16"))
    return _DTYPES[name]


def _check_device(device: str) -> None:
    import torch

    legal = ["cpu", *(["mps"] if torch.backends.mps.is_available() else [])]
    legal += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if device not in legal and not (device == "cuda" and torch.cuda.is_available()):
        raise choice_error("device", device, legal)


def _with_number(device: str) -> str:
    """Return the device; of CUDA the one that this process uses, which "cuda" leaves open."""
    import torch

    return f"cuda:{torch.cuda.current_device()}" if device == "cuda" else device


def _check_quantization(quantization: str | BitsAndBytesConfig | None) -> None:
    if quantization is None or hasattr(quantization, "load_in_4bit"):
        return
    if quantization not in TRAINABLE:
        raise choice_error("quantization", quantization, (*TRAINABLE, "a BitsAndBytesConfig"))


def _quantization_config(
    quantization: str | BitsAndBytesConfig, compute: torch.dtype
) -> BitsAndBytesConfig:
    if not isinstance(quantization, str):
        return quantization
    return QUANTIZED[quantization].config(double_quant=True, compute_dtype=compute)


@contextmanager
def _no_long_wait(source: Source) -> Iterator[None]:
    """Work from the hub's local cache alone inside the block when the hub does not answer.

    Left to itself the hub's client asks for each file six times, minutes in all.
    """
    from huggingface_hub import constants

    if source.local or constants.HF_HUB_OFFLINE or _hub_answers(constants.ENDPOINT):
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


def _hub_answers(address: str) -> bool:
    from huggingface_hub.utils import get_session

    try:  # with the hub's own client, so that its proxy and certificates count
        get_session().head(address, timeout=_SECONDS_TO_ANSWER)
    except Exception:  # which classes it raises depends on the HTTP library below it
        return False
    return True


@contextmanager
def _in_one_line(source: Source) -> Iterator[None]:
    """Turn what the loaders raise into one line that says what can be done."""
    try:
        yield
    except LabError:
        raise
    except MemoryError as error:
        raise LabError(f"{source.name} does not fit in memory", field="model") from error
    except Exception as error:  # a stranger's files in the loaders' hands
        for reason in _chain(error):
            if _is_out_of_memory(reason):  # its frames hold what has been loaded so far
                reason.__traceback__ = None
        raise LabError(_explain(source, error), field="model") from error


def _explain(source: Source, error: Exception) -> str:
    from huggingface_hub import errors as hub

    reasons = _chain(error)

    def comes_from(*classes: type[BaseException]) -> bool:
        return any(isinstance(reason, classes) for reason in reasons)

    if any(map(_is_out_of_memory, reasons)):
        return f"{source.name} does not fit in the accelerator's memory; try quantization='nf4'"
    first = str(error).strip().partition("\n")[0] or type(error).__name__
    if "trust_remote_code" in str(error):
        return f"{source.name} needs code of its own to load, which the course does not run"
    if source.local:
        return f"{source.name} cannot be loaded: {first}"
    legal = [*catalogue(), *(each.hub_name for each in catalogue().values())]
    hint = "" if find(source.name) else nearest(source.name, legal)
    if comes_from(hub.GatedRepoError):
        return (
            f"{source.location} is gated: accept its licence on the hub and log in with "
            f"`hf auth login`; {_OFFLINE}"
        )
    if comes_from(hub.RepositoryNotFoundError):
        return f"the hub knows no {source.location}{hint or f'; {_OFFLINE}'}"
    if "safetensors" in first:
        return f"{source.location} has no safetensors weights, and the course loads no pickle"
    # An HTTP library's own errors come from one of the system's.
    unreachable = (hub.LocalEntryNotFoundError, ConnectionError, TimeoutError, socket.gaierror)
    if comes_from(*unreachable) or isinstance(error, OSError):
        return (
            f"{source.location} is not on this machine and no hub can be reached; {_OFFLINE}{hint}"
        )
    return f"{source.name} cannot be loaded: {first}"


def _is_out_of_memory(reason: BaseException) -> bool:
    import torch

    return isinstance(reason, torch.OutOfMemoryError)


def _chain(error: BaseException | None) -> list[BaseException]:
    reasons: list[BaseException] = []
    while error is not None and error not in reasons:
        reasons.append(error)
        error = error.__cause__ or error.__context__
    return reasons
