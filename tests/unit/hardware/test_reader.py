"""The reader never raises and never waits."""

from __future__ import annotations

import os

from swarmlet.hardware.reader import MAX_BYTES, Reader


def test_a_file_is_read_without_its_end(tmp_path):
    (tmp_path / "model").write_bytes(b"Raspberry Pi\0\n")
    assert Reader(str(tmp_path)).text("/model") == "Raspberry Pi"


def test_what_is_absent_masked_or_no_file_is_unknown(tmp_path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "empty").write_bytes(b"\0\n")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    reader = Reader(str(tmp_path))
    for name in ("absent", "directory", "empty", "pipe", "loop", "a\0b"):
        assert reader.text(f"/{name}") is None
    assert reader.names("/empty") is None
    assert reader.names("/absent") is None
    assert not reader.exists("/a\0b")
    assert reader.exists("/loop")


def test_no_more_than_the_bound_is_read(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * (MAX_BYTES + 1))
    assert len(Reader(str(tmp_path)).data("/big") or b"") == MAX_BYTES


def test_bytes_that_are_no_text_are_replaced(tmp_path):
    (tmp_path / "noise").write_bytes(b"a\xffb")
    assert Reader(str(tmp_path)).text("/noise") == "a\N{REPLACEMENT CHARACTER}b"


def test_a_pseudo_file_larger_than_a_page_is_read_whole():
    text = Reader().text("/proc/self/status")
    assert text is not None
    assert text.startswith("Name:")
