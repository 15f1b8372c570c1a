from __future__ import annotations

import gc
import traceback
import weakref

from crypto import clear_frames


class Held:
    """Something whose end can be watched."""


def use(held: Held) -> None:
    inner = held
    try:
        {}["the first"]
    except KeyError:
        failure = ValueError("the second")
        failure.add_note(repr(type(inner)))
        raise failure  # noqa: B904 - so that the first is its context


def fail() -> tuple[Exception, weakref.ref[Held]]:
    held = Held()
    watch = weakref.ref(held)
    try:
        use(held)
    except ValueError as error:
        return error, watch
    raise AssertionError


def test_values_in_the_frames_behind_an_error_are_freed_at_once():
    gc.disable()
    try:
        error, watch = fail()
        assert watch() is not None, "a traceback keeps what its frames hold"
        clear_frames(error)
        assert watch() is None
    finally:
        gc.enable()


def test_the_place_of_the_error_stays_known():
    error, _ = fail()
    clear_frames(error)
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)] == ["fail", "use"]


def test_errors_that_cause_each_other_are_followed_once():
    first, second = ValueError(), ValueError()
    first.__cause__, second.__context__ = second, first
    clear_frames(first)
    assert (first.__cause__, second.__context__) == (second, first)
