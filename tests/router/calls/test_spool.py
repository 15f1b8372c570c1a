"""The spool: what was appended is read again in order, and what a crash or a bad disk left is never taken for more."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import re
import signal
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import Keyring, new_key_entry
from router.calls import spool as module
from router.calls.spool import Spool, SpoolFullError
from router.store.calls.records import KINDS, InsertEvent, Record, SetSeconds
from tests.support.log_capture import CapturedEvents, captured_events

__all__ = ["captured_events"]

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ENTRY = new_key_entry()

FIELDS = {
    str: st.text(),
    int: st.integers(-(2**63), 2**63),
    float: st.floats(allow_nan=False),
    datetime: st.datetimes(timezones=st.just(UTC)),
}
KIND_OF_RECORD = st.sampled_from(list(KINDS.values()))


def values_of(form: type[Any]) -> st.SearchStrategy[Any]:
    """For a field of that type. Each type that a field may have is one of these, or None beside it."""
    types = set(get_args(form) or (form,))
    values = st.one_of([FIELDS[each] for each in types - {NoneType}])
    return st.none() | values if NoneType in types else values


def records_of(kind: type[Record]) -> st.SearchStrategy[Record]:
    types = get_type_hints(kind)
    return st.builds(kind, **{field.name: values_of(types[field.name]) for field in fields(kind)})


batches = st.lists(st.lists(KIND_OF_RECORD.flatmap(records_of), min_size=1, max_size=4), min_size=1, max_size=5)


def open_spool(folder: Path, *, most_bytes: int = 2**20, entry: str = ENTRY) -> Spool:
    return Spool(folder, Keyring.parse(entry), most_bytes)


def event(number: int) -> Record:
    return InsertEvent(f"event_{number}", "call_1", AT, "call.received", step="inbound", duration_ms=number)


def drain(spool: Spool) -> list[list[Record]]:
    """Replay and finish all files."""
    batches = []
    while file := spool.take():
        batches += list(spool.read(file))
        spool.finish(file)
    return batches


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@contextmanager
def some_folder() -> Iterator[Path]:
    """For tests that hypothesis runs many times."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "spool"


def the_file(folder: Path) -> Path:
    (path,) = folder.glob("*.spool")
    return path


@given(batches)
def test_what_was_appended_is_read_again_in_order_by_this_run_or_the_next(batches):
    with some_folder() as folder:
        before = open_spool(folder)
        for batch in batches:
            before.append(batch)
        before.close()
        after = open_spool(folder)
        assert drain(after) == batches
        assert list(folder.iterdir()) == []


def test_a_batch_that_is_larger_than_a_frame_may_be_is_read_again_whole(folder: Path, monkeypatch: pytest.MonkeyPatch):
    batch = [event(number) for number in range(64)]
    monkeypatch.setattr(module, "_LARGEST_FRAME", 600)
    spool = open_spool(folder)
    spool.append(batch)
    read = drain(spool)
    assert len(read) > 1
    assert [record for some in read for record in some] == batch


@given(batches, st.data())
def test_a_file_that_was_cut_off_anywhere_gives_what_was_whole(batches, data):
    with some_folder() as folder:
        whole = write_file(folder, batches)
        length = data.draw(st.integers(0, len(whole)))
        the_file(folder).write_bytes(whole[:length])
        found = drain(open_spool(folder))
    assert found == batches[: len(found)]
    assert (len(found) == len(batches)) == (length == len(whole))


@given(batches, st.data())
def test_a_changed_byte_anywhere_ends_what_is_read_and_makes_up_nothing(batches, data):
    with some_folder() as folder:
        whole = bytearray(write_file(folder, batches))
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
        the_file(folder).write_bytes(whole)
        found = drain(open_spool(folder))
        assert found == batches[: len(found)]
        assert len(found) < len(batches)
        # What could not be read is there for people to look at.
        assert [path.suffix for path in folder.iterdir()] == [".spoilt"]


def write_file(folder: Path, batches: list[list[Record]]) -> bytes:
    spool = open_spool(folder)
    for batch in batches:
        spool.append(batch)
    spool.close()
    return the_file(folder).read_bytes()


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"something else altogether", os.urandom(5000)])
def test_a_foreign_file_is_not_replayed_and_disturbs_nothing(folder: Path, content, captured_events: CapturedEvents):
    folder.mkdir()
    (folder / "00000000000000000000-foreign.spool").write_bytes(content)
    spool = open_spool(folder)
    spool.append([event(1)])
    assert drain(spool) == [[event(1)]]
    assert spool.take() is None
    assert len(captured_events.named("recorder.failed")) == bool(content)


def test_what_another_platform_key_sealed_is_kept_for_a_process_that_has_it(
    folder: Path, captured_events: CapturedEvents
):
    write_file(folder, [[event(1)]])
    assert drain(open_spool(folder, entry=new_key_entry())) == []
    assert captured_events.only("recorder.failed")["reason"] == "spool_record_spoilt"
    (kept,) = folder.iterdir()
    kept.rename(kept.with_suffix(".spool"))
    assert drain(open_spool(folder)) == [[event(1)]]


def test_nothing_of_a_call_can_be_read_in_the_files(folder: Path):
    assert b"call" not in write_file(folder, [[event(1)]])


def test_a_file_holds_kinds_and_fields_and_no_statement(folder: Path):
    whole = write_file(folder, [[SetSeconds("call_1", 7), event(1)]])
    sealed = whole[module._HEAD.size :].decode()
    plain = zlib.decompress(Keyring.parse(ENTRY).open_bytes(sealed, module._CONTEXT))
    assert json.loads(plain)[0] == ["set_seconds", {"call_id": "call_1", "seconds": 7}]
    assert not re.search(rb"SELECT|INSERT|UPDATE|VALUES|\$[0-9]", plain)


# As they stand on disks: kinds and fields keep their names, and what was written without a newer field is still read.
KEPT: dict[str, dict[str, Any]] = {
    "insert_call": {
        "call_id": "call_1",
        "account_sid": "AC1",
        "call_sid": "CA1",
        "agency_id": "agency_1",
        "client_id": "client_1",
        "from_number": "+14155550123",
        "to_number": "+15005550001",
        "started_at": "2026-03-02T12:00:00+00:00",
    },
    "insert_step": {"account_sid": "AC1", "call_sid": "CA1", "step": "ai-1", "call_id": "call_1", "at": AT.isoformat()},
    "store_answer": {"account_sid": "AC1", "call_sid": "CA1", "step": "ai-1", "at": AT.isoformat(), "sealed": "s"},
    "insert_event": {"event_id": "event_1", "call_id": "call_1", "at": AT.isoformat(), "event": "call.received"},
    "set_answered": {"call_id": "call_1", "by": "ai", "provider": "vapi", "at": AT.isoformat()},
    "set_provider": {"call_id": "call_1", "provider": "vapi", "at": AT.isoformat()},
    "mark_assistant": {"client_id": "client_1", "provider": "vapi", "at": AT.isoformat()},
    "set_ringing": {"call_id": "call_1", "phone": "+1", "shows": "+2", "until": AT.isoformat()},
    "clear_ringing": {"call_id": "call_1"},
    "set_outcome": {"call_id": "call_1", "outcome": "ai"},
    "end_call": {"call_id": "call_1", "event_id": "event_2", "at": AT.isoformat(), "outcome": "ai", "seconds": 7},
    "set_seconds": {"call_id": "call_1", "seconds": 7},
    "end_call_later": {"call_id": "call_1", "event_id": "event_1", "at": AT.isoformat(), "seconds": None},
    "insert_voicemail": {
        "voicemail_id": "voicemail_1",
        "account_sid": "AC1",
        "recording_sid": "RE1",
        "call_id": "call_1",
        "agency_id": "agency_1",
        "client_id": "client_1",
        "from_number": "+14155550123",
        "at": AT.isoformat(),
        "seconds": 7,
    },
    "set_transcript": {"voicemail_id": "voicemail_1", "transcript": "said"},
    "set_story": {"call_id": "call_1", "provider": "vapi"},
}


def append_rows(folder: Path, *rows: tuple[str, dict[str, Any]]) -> None:
    """As another version may have appended them."""
    spool = open_spool(folder)
    spool.append([event(1)])
    spool.close()
    the_file(folder).write_bytes(spool._frame(rows))


def test_every_kind_is_read_as_an_earlier_version_left_it(folder: Path):
    append_rows(folder, *KEPT.items())
    (batch,) = drain(open_spool(folder))
    assert [record.kind for record in batch] == list(KEPT)
    assert set(KEPT) == set(KINDS)
    assert list(folder.iterdir()) == []


def test_fields_of_a_newer_version_are_ignored(folder: Path):
    append_rows(folder, ("set_seconds", {"call_id": "call_1", "seconds": 7, "billed": 60}))
    assert drain(open_spool(folder)) == [[SetSeconds("call_1", 7)]]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"call_id": "call_1"}, {"call_id": "call_1", "seconds": "many"}, {}])
def test_a_record_that_lacks_a_field_is_kept_aside_and_holds_nothing_up(
    folder: Path, captured_events: CapturedEvents, wrong: dict[str, Any]
):
    append_rows(folder, ("set_seconds", wrong), ("set_seconds", {"call_id": "call_2", "seconds": 8}))
    assert drain(open_spool(folder)) == [[SetSeconds("call_2", 8)]]
    assert captured_events.only("recorder.failed")["reason"] == "spool_record_spoilt"
    assert [path.suffix for path in folder.iterdir()] == [".spoilt"]


def test_a_kind_of_a_newer_version_waits_for_it_and_holds_nothing_up(
    folder: Path, captured_events: CapturedEvents, monkeypatch
):
    write_file(folder, [[event(1), SetSeconds("call_1", 7), event(2)], [SetSeconds("call_2", 8)], [event(3)]])
    with monkeypatch.context() as older:
        older.delitem(KINDS, "set_seconds")
        spool = open_spool(folder)
        assert drain(spool) == [[event(1), event(2)], [event(3)]]
        assert spool.take() is None
        spool.append([event(4)])
        assert drain(spool) == [[event(4)]]
        assert spool.size() > 0
        line = captured_events.only("recorder.failed")
        assert (line["reason"], line["kind"], line["count"]) == ("unknown_kind", "set_seconds", 2)
        # The next process of that version finds them, and leaves them there as well.
        assert drain(open_spool(folder)) == []
    assert drain(open_spool(folder)) == [[SetSeconds("call_1", 7)], [SetSeconds("call_2", 8)]]
    assert list(folder.iterdir()) == []


def test_a_spoilt_file_takes_no_newer_kind_along(folder: Path, monkeypatch):
    whole = write_file(folder, [[SetSeconds("call_1", 7), event(1)], [event(2)]])
    the_file(folder).write_bytes(whole[:-1])
    with monkeypatch.context() as older:
        older.delitem(KINDS, "set_seconds")
        assert drain(open_spool(folder)) == [[event(1)]]
    assert sorted(path.suffix for path in folder.iterdir()) == [".spoilt", ".spool"]
    assert drain(open_spool(folder)) == [[SetSeconds("call_1", 7)]]


def test_a_replay_that_is_begun_again_keeps_a_newer_kind_once(folder: Path, monkeypatch):
    write_file(folder, [[SetSeconds("call_1", 7), event(1)], [event(2)]])
    with monkeypatch.context() as older:
        older.delitem(KINDS, "set_seconds")
        spool = open_spool(folder)
        file = spool.take()
        assert file is not None
        assert next(spool.read(file)) == [event(1)]
        spool.close()
        assert drain(open_spool(folder)) == [[event(1)], [event(2)]]
    assert drain(open_spool(folder)) == [[SetSeconds("call_1", 7)]]


def test_without_room_to_keep_a_newer_kind_apart_its_file_stays_as_it_is(
    folder: Path, captured_events: CapturedEvents, monkeypatch
):
    whole = write_file(folder, [[SetSeconds("call_1", 7), event(1)], [event(2)]])

    def fail(_handle, _frame: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as older:
        older.delitem(KINDS, "set_seconds")
        older.setattr(module, "_write_whole", fail)
        spool = open_spool(folder)
        assert drain(spool) == [[event(1)], [event(2)]]
        assert spool.take() is None
    assert the_file(folder).read_bytes() == whole
    assert {line["reason"] for line in captured_events.named("recorder.failed")} == {
        "spool_file_unusable",
        "unknown_kind",
    }


def test_the_oldest_file_comes_first(folder: Path):
    for number in range(5):
        spool = open_spool(folder)
        spool.append([event(number)])
        spool.close()
    assert drain(open_spool(folder)) == [[event(number)] for number in range(5)]


def test_a_full_spool_takes_no_more_and_keeps_what_it_has(folder: Path):
    spool = open_spool(folder, most_bytes=2000)
    taken = list(itertools.takewhile(lambda number: is_taken(spool, number), range(100)))
    assert 1 < len(taken) < 100
    assert spool.size() <= 2000
    assert drain(spool) == [[event(number)] for number in taken]
    spool.append([event(0)])
    assert drain(spool) == [[event(0)]]


def is_taken(spool: Spool, number: int) -> bool:
    try:
        spool.append([event(number)])
    except SpoolFullError:
        return False
    return True


def test_all_files_together_are_bounded(folder: Path):
    first, second = open_spool(folder, most_bytes=500), open_spool(folder, most_bytes=500)
    first.append([event(1)])
    with pytest.raises(SpoolFullError):
        second.append([event(number) for number in range(50)])
    first.close()


def test_a_record_that_the_disk_took_in_part_is_not_there(folder: Path, monkeypatch):
    spool = open_spool(folder)
    spool.append([event(1)])

    def fail_in_part(handle, record: bytes) -> None:
        handle.write(record[: len(record) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_whole", fail_in_part)
        with pytest.raises(OSError, match="No space"):
            spool.append([event(2)])
    spool.append([event(3)])
    assert drain(spool) == [[event(1)], [event(3)]]
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "spool").write_text("a file where the folder should be")
    spool = open_spool(tmp_path / "spool")
    assert spool.take() is None
    with pytest.raises(OSError):
        spool.append([event(1)])


def test_what_is_being_replayed_or_written_by_one_is_left_alone_by_others(folder: Path):
    one, other = open_spool(folder), open_spool(folder)
    one.append([event(1)])
    assert other.take() is None
    replayed = one.take()
    assert replayed is not None
    one.append([event(2)])
    assert other.take() is None
    assert list(one.read(replayed)) == [[event(1)]]
    # The process that failed to replay it starts again; no other one does.
    assert one.take() is replayed
    assert list(one.read(replayed)) == [[event(1)]]
    one.finish(replayed)
    one.close()
    assert drain(other) == [[event(2)]]


def test_the_file_of_a_killed_process_is_left_to_the_next_one(folder: Path):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=append_and_hang, args=(folder, ENTRY, theirs))
    process.start()
    assert ours.recv() == "appended"
    spool = open_spool(folder)
    assert spool.take() is None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert drain(spool) == [[event(1)], [event(2)]]


def append_and_hang(folder: Path, entry: str, parent: Connection) -> None:
    spool = open_spool(folder, entry=entry)
    spool.append([event(1)])
    spool.append([event(2)])
    parent.send("appended")
    signal.pause()


def test_a_thread_that_comes_after_the_end_gets_nothing_and_leaves_nothing_open(tmp_path: Path):
    """As when its caller is cancelled while the service stops: another process may take the file at once."""
    closed = open_spool(tmp_path)
    closed.append([event(1)])
    closed.close()
    assert closed.take() is None
    with pytest.raises(OSError, match="closed"):
        closed.append([event(2)])
    assert drain(open_spool(tmp_path)) == [[event(1)]]
