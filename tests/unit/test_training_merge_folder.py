"""Where a merged model lies: links, folders that are taken, disks that refuse, rights of files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
import torch

from labs_lib import models
from labs_lib.errors import LabError
from labs_lib.training import merge
from labs_lib.training.adapter.loading import load_adapter


def outs(tmp_path: Path) -> list[tuple[Path, Path]]:
    """Return (what is given as --out, where the model lies then)."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "to-empty").symlink_to(tmp_path / "empty")
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    (tmp_path / "empty-too").mkdir()
    return [
        (tmp_path / "to-empty", tmp_path / "empty"),
        (tmp_path / "dangling", tmp_path / "new"),
        (tmp_path / "empty-too", tmp_path / "empty-too"),
        (tmp_path / "some" / "where" / "else", tmp_path / "some" / "where" / "else"),
    ]


def test_out_may_be_a_link(tiny_adapter: Path, tmp_path: Path) -> None:
    places = outs(tmp_path)
    for given, folder in places:
        was_link = given.is_symlink()
        merge(tiny_adapter, given)
        assert (folder / "model.safetensors").is_file()
        assert given.is_symlink() == was_link
        assert not folder.is_symlink()
    hidden = [each.name for each in tmp_path.rglob(".*")]
    assert hidden == [], "a folder written aside was left behind"


@pytest.mark.parametrize("kind", ["ring", "file", "full", "link to full", "under a file", "NUL"])
def test_an_out_that_cannot_be_is_one_line(kind: str, tiny_adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if kind == "ring":
        out.symlink_to(out)
    elif kind == "file":
        out.write_text("x")
    elif kind in ("full", "link to full"):
        full = tmp_path / "full"
        full.mkdir()
        (full / "thesis.txt").write_text("years of work")
        if kind == "full":
            out = full
        else:
            out.symlink_to(full)
    elif kind == "under a file":
        out.write_text("x")
        out = out / "deeper"
    else:
        out = tmp_path / "a\0b"
    before = sorted(each.name for each in tmp_path.iterdir())
    with pytest.raises(LabError):
        merge(tiny_adapter, out)
    assert sorted(each.name for each in tmp_path.iterdir()) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_leaves_nothing(
    number: int, tiny_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(LabError, match=f"cannot write .*{os.strerror(number)}"):
        merge(tiny_adapter, tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_under_safetensors_is_one_line(
    tiny_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(LabError, match="cannot write"):
            merge(tiny_adapter, tmp_path / "merged")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask to speak of")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_weights_are_as_readable_as_all_else(
    umask: int, mode: int, tiny_adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    from labs_lib.training import save

    before = os.umask(umask)
    try:
        merge(tiny_adapter, tmp_path / "merged")
        wrapped = load_adapter(models.load_model(tiny_model, device="cpu"), tiny_adapter)
        save(wrapped, tmp_path / "again", str(tiny_model))
    finally:
        os.umask(before)
    for folder in (tmp_path / "merged", tmp_path / "again"):
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
        assert set(modes.values()) == {mode}, modes
        assert any(name.endswith(".safetensors") for name in modes)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask to speak of")
def test_a_file_that_the_writer_put_in_place_is_readable(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from labs_lib.files import written_aside

    before = os.umask(0o022)
    try:
        with written_aside(tmp_path / "one.safetensors") as aside:
            save_file({"a": torch.zeros(2)}, aside)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "one.safetensors").stat().st_mode) == 0o644
