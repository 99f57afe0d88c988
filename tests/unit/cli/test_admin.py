"""The client of the admin API, against sockets that answer, break off and come back."""

from __future__ import annotations

import pytest

from swarmlet.cli.admin import until_failure
from swarmlet.coordinator.api.answers import body_of
from swarmlet.errors import Exit, SwarmletError, error

MARK = b"0123456789abcdef"
BROKEN = body_of(error("SWL-509", workload="w", node="pi", detail="the connection to it ended"))


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_failure_behind_the_mark_is_raised_and_no_part_of_the_output(size: int) -> None:
    text = b"one 0123\n0123456789 two" + MARK + BROKEN
    pieces = iter([text[at : at + size] for at in range(0, len(text), size)])
    read: list[bytes] = []
    with pytest.raises(SwarmletError) as caught:
        read.extend(until_failure(pieces, MARK))
    assert b"".join(read) == b"one 0123\n0123456789 two"
    assert (caught.value.code, caught.value.exit_code) == ("SWL-509", Exit.UNREACHABLE)


@pytest.mark.parametrize("mark", [MARK, b""])
def test_output_without_a_failure_is_whole_even_when_it_ends_like_the_mark_begins(mark: bytes) -> None:
    assert b"".join(until_failure(iter([b"one ", b"01", b"234"]), mark)) == b"one 01234"
