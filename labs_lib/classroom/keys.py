"""The instructor's Ed25519 key: made at its first use, readable by its owner alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from labs_lib.classroom.records import Release
from labs_lib.errors import LabError
from labs_lib.files import friendly_os_errors
from labs_lib.paths import data_dir

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LARGEST_KEY_BYTES = 10_000


def classes_dir() -> Path:
    """Return where an instructor's machine keeps its key and what was released."""
    return data_dir() / "classes"


def key_file() -> Path:
    """Return the file of the instructor's key."""
    return classes_dir() / "instructor-key.pem"


def signed(release: Release) -> Release:
    """Return a release with the instructor's public key and the signature over all the rest."""
    key = _key()
    named = release.model_copy(update={"public_key": key.public_key().public_bytes_raw().hex()})
    return named.model_copy(update={"signature": key.sign(_message(named)).hex()})


def check_signature(release: Release) -> None:
    """Raise LabError unless a release is as the holder of its public key signed it."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(release.public_key))
        key.verify(bytes.fromhex(release.signature), _message(release))
    except (ValueError, InvalidSignature):
        raise LabError(f"release {release.id}: its signature does not fit what it says") from None


def is_ours(release: Release) -> bool:
    """Return whether the key of this machine signed a release; without a key it did not."""
    if not key_file().is_file():
        return False
    return release.public_key == _key().public_key().public_bytes_raw().hex()


def _message(release: Release) -> bytes:
    fields = release.model_dump(mode="json", exclude={"signature"})
    return json.dumps(fields, sort_keys=True, ensure_ascii=False).encode()


def _key() -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = key_file()
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        content = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with friendly_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Nobody else may read it, not even for a moment.
            held = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(held, "wb") as file:
                file.write(content)
        return key
    try:
        key = serialization.load_pem_private_key(path.read_bytes()[:LARGEST_KEY_BYTES], None)
    except (OSError, ValueError, TypeError) as error:
        raise LabError(f"cannot read the instructor's key {path}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise LabError(f"the instructor's key {path} is not an Ed25519 key")
    return key
