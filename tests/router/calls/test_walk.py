"""A call goes through the modules that the page about the architecture lists, in that order, and through each once."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.support.posting import PostedCall, only_document
from tests.support.world import World

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
PAGE = "\n".join(page.read_text() for page in sorted((ROOT / "docs").glob("architecture.md")))
# Notes, a look at whether a provider is ready, and the end of its request, of which the event loop tells.
BESIDE_THE_WALK = ("Recorder.note", "Recorder.note_end", "Recorder.spooling", "Calls.missing", "_leave")
STARTED = 0  # the argument of RESUME as a function begins, not as it goes on after an await
GENERATORS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def listed(heading: str) -> list[str]:
    """The modules of the numbered list under a line that begins so."""
    (found,) = re.findall(rf"^{heading}.*\n\n((?:\d+\. .*\n)+)", PAGE, re.MULTILINE)
    return re.findall(r"^\d+\. `([^`]+)`", found, re.MULTILINE)


@contextmanager
def entered(modules: list[str]) -> Iterator[list[str]]:
    """Which of the modules are entered from outside of them, in order."""
    files = {str(ROOT / module): module for module in modules}
    entries: list[str] = []

    def look(frame: FrameType, event: str, _: Any) -> None:
        module = files.get(frame.f_code.co_filename)
        if event == "call" and module is not None and is_entry(frame, module):
            entries.append(module)

    def is_entry(frame: FrameType, module: str) -> bool:
        code = frame.f_code
        if code.co_flags & GENERATORS and code.co_code[frame.f_lasti + 1] & 3 != STARTED:
            return False
        if code.co_name.startswith("<") or code.co_qualname in BESIDE_THE_WALK or is_property(frame):
            return False
        before = frame.f_back
        while before is not None and before.f_code.co_filename not in files:
            before = before.f_back
        return before is None or files[before.f_code.co_filename] != module

    sys.setprofile(look)
    try:
        yield entries
    finally:
        sys.setprofile(None)


def is_property(frame: FrameType) -> bool:
    owner, _, name = frame.f_code.co_qualname.rpartition(".")
    return isinstance(inspect.getattr_static(frame.f_globals.get(owner), name, None), property)


@pytest.fixture
async def call(world: World) -> PostedCall:
    """A call of a client whose other calls came before: what is looked up once is known."""
    client = await world.add_client(providers=["retell"])
    await PostedCall(world, client).ring()
    return PostedCall(world, client)


async def test_a_new_call_that_an_ai_answers(call: PostedCall):
    walk = listed("A new call")
    with entered(walk) as entries:
        await call.ring()
    assert entries == walk
    assert len(walk) <= 12


async def test_the_callback_after_the_caller_has_hung_up(call: PostedCall):
    walk = listed("The action callback")
    document = only_document([await call.ring()])
    with entered(walk) as entries:
        await call.go_on(
            document, CallStatus="completed", DialCallStatus="completed", DialCallDuration="30", DialBridged="true"
        )
    assert entries == walk


async def test_the_callback_after_a_leg_that_was_not_answered(call: PostedCall):
    whole = listed("A new call")
    asked, provider = whole.index("router/routing/dispatch.py"), "adapters/retell/calls.py"
    walk = listed("The action callback")[:6] + [module for module in whole[asked:] if module != provider]
    document = only_document([await call.ring()])
    with entered(walk) as entries:
        await call.go_on(document)
    assert entries == walk
