"""What a process remembers of streams: bounded, never more than a hint, and gone once it was wrong."""

from doable.core import ids
from doable.core.turns import REMEMBERED, Standing, Turns

STREAM, WRITER, OTHER = (ids.new_id() for _ in range(3))


def test_who_has_written_is_remembered_with_the_newest_revision() -> None:
    turns = Turns()
    turns.admit(STREAM, WRITER, "owner")
    assert turns.recall(STREAM, WRITER) is None, "nobody knows where the stream is"
    turns.remember({STREAM: 3})
    turns.remember({STREAM: 2})
    assert turns.recall(STREAM, WRITER) == Standing(3, "owner")
    assert turns.recall(STREAM, OTHER) is None
    assert (turns.newest(STREAM, 1), turns.newest(STREAM, 4)) == (3, 4)


def test_what_others_make_of_a_stream_counts_if_it_is_known_and_newer() -> None:
    turns = Turns()
    turns.admit(STREAM, WRITER, "owner")
    turns.hear(STREAM, 5)
    assert turns.recall(STREAM, WRITER) is None
    turns.remember({STREAM: 3})
    for heard, known in ((2, 3), (7, 7)):
        turns.hear(STREAM, heard)
        assert turns.recall(STREAM, WRITER) == Standing(known, "owner")


def test_what_was_wrong_is_forgotten() -> None:
    turns = Turns()
    for writer in (WRITER, OTHER):
        turns.admit(STREAM, writer, "editor")
    turns.remember({STREAM: 3})
    turns.forget(STREAM, WRITER)
    assert turns.recall(STREAM, OTHER) is None
    turns.remember({STREAM: 2})
    assert (turns.recall(STREAM, WRITER), turns.recall(STREAM, OTHER)) == (None, Standing(2, "editor"))


def test_it_is_bounded_and_the_oldest_go_first() -> None:
    turns = Turns()
    streams = [ids.new_id() for _ in range(REMEMBERED + 1)]
    for number, stream in enumerate(streams):
        turns.remember({stream: 1})
        turns.admit(stream, WRITER, "owner")
        if number == REMEMBERED - 1:
            turns.remember({streams[0]: 2})
            turns.admit(streams[0], WRITER, "owner")
    known = [stream for stream in streams if turns.recall(stream, WRITER)]
    assert len(known) == REMEMBERED
    assert streams[1] not in known
