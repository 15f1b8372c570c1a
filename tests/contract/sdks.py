"""The providers' own SDKs, imported when a test first uses them.

Building their models takes seconds, and each worker of a run collects all tests, whichever it is given.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class _Later:
    """A module that is imported once something in it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest asks everything in a file whether it is a test or a fixture
            raise AttributeError(name)
        return getattr(import_module(self._name), name)


elevenlabs_sdk = _Later("elevenlabs")
elevenlabs_types = _Later("elevenlabs.types")
retell_sdk = _Later("retell")
retell_llm_params = _Later("retell.types.llm_create_params")
retell_signing = _Later("retell.lib.webhook_auth")
retell_types = _Later("retell.types")
vapi_api_error = _Later("vapi.core.api_error")
vapi_errors = _Later("vapi.errors")
vapi_phone_numbers = _Later("vapi.phone_numbers")
vapi_sdk = _Later("vapi")
vapi_serialization = _Later("vapi.core.serialization")
vapi_types = _Later("vapi.types")
