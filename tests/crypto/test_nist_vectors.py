"""NIST's AES-256-GCM vectors (CAVS 14.0), run through the functions that seal and open everything."""

from __future__ import annotations

from typing import Any

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto import OpenError
from crypto.keyring import decrypt, encrypt


def read_vectors(name: str) -> list[dict[str, str]]:
    """The vectors of a .rsp file that have our shape: a nonce of 96 bits and a tag of 128."""
    section: dict[str, str] = {}
    vectors: list[dict[str, str]] = []
    with cryptography_vectors.open_vector_file(f"ciphers/AES/GCM/{name}", "r") as file:
        for line in file:
            name_of, _, value = line.strip().strip("[]").partition("=")
            name_of, value = name_of.strip(), value.strip()
            if line.startswith("["):
                section[name_of] = value
            elif name_of == "Count":
                vectors.append(dict(section))
            elif line.strip() == "FAIL":
                vectors[-1]["FAIL"] = ""
            elif vectors and name_of:
                vectors[-1][name_of] = value
    return [each for each in vectors if each["IVlen"] == "96" and each["Taglen"] == "128"]


def parts_of(vector: dict[str, str]) -> Any:
    return (bytes.fromhex(vector[name]) for name in ("Key", "IV", "AAD", "CT", "Tag"))


def test_encryption_gives_the_ciphertext_of_nist():
    vectors = read_vectors("gcmEncryptExtIV256.rsp")
    assert len(vectors) == 375
    for vector in vectors:
        key, nonce, associated, ciphertext, tag = parts_of(vector)
        assert encrypt(AESGCM(key), nonce, bytes.fromhex(vector["PT"]), associated) == ciphertext + tag


def test_nist_ciphertexts_open_unless_they_were_changed():
    opened = refused = 0
    for vector in read_vectors("gcmDecrypt256.rsp"):
        key, nonce, associated, ciphertext, tag = parts_of(vector)
        if "FAIL" in vector:
            with pytest.raises(OpenError):
                decrypt(AESGCM(key), nonce, ciphertext + tag, associated)
            refused += 1
        else:
            assert decrypt(AESGCM(key), nonce, ciphertext + tag, associated) == bytes.fromhex(vector["PT"])
            opened += 1
    assert (opened > 100, refused > 100, opened + refused) == (True, True, 375)
