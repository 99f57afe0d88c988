"""Frames and the msgpack check through the binding (D3)."""

from __future__ import annotations

import struct
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import _native as native
from swarmlet.link import messages
from swarmlet.model.health import Reading
from tests.vectors import read

FIXED = {
    native.KIND_HEARTBEAT: 52,
    native.KIND_HEARTBEAT_ACK: 4,
    native.KIND_LEASE: 8,
    native.KIND_CREDIT: 4,
}
STREAMED = (native.KIND_DATA, native.KIND_CREDIT)
KINDS = (native.KIND_CONTROL, native.KIND_DATA, *FIXED)

Frame = tuple[int, int, bytes]


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    kind = draw(st.sampled_from(KINDS))
    stream = draw(st.integers(1, 65535)) if kind in STREAMED else 0
    size = FIXED.get(kind)
    payload = draw(st.binary(max_size=300) if size is None else st.binary(min_size=size, max_size=size))
    return kind, stream, payload


def kind_of(error: pytest.ExceptionInfo[native.NativeError]) -> str:
    kind, detail = error.value.args
    assert detail
    assert detail == detail.strip()
    return str(kind)


@given(st.lists(frames(), max_size=20), st.data())
def test_any_split_gives_the_same_frames(sent: list[Frame], data: st.DataObject) -> None:
    wire = b"".join(native.encode_frame(*frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    decoder = native.FrameDecoder()
    pieces = (wire[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True))
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == sent


def refusal(decoder: native.FrameDecoder, piece: bytes) -> tuple[object, ...] | None:
    try:
        decoder.feed(piece)
    except native.NativeError as error:
        return error.args
    return None


@given(st.binary(max_size=200), st.integers(1, 20))
def test_garbage_is_refused_or_awaited_and_the_refusal_lasts(garbage: bytes, size: int) -> None:
    decoder = native.FrameDecoder()
    refusals = [refusal(decoder, garbage[at : at + size]) for at in range(0, len(garbage), size)]
    seen = [reason for reason in refusals if reason is not None]
    if seen:
        later = refusal(decoder, native.encode_frame(native.KIND_CONTROL, 0, b"\xc0"))
        assert {*seen, later} == {seen[0]}


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("0001000110000001", "frame-too-large"),
        ("ffffffff01000000", "frame-too-large"),
        ("0000000005000000", "frame-kind"),
        ("0000000101010000", "frame-flags"),
        ("0000003f02000000", "frame-shape"),
        ("0000000101000001", "frame-shape"),
        ("0000000110000000", "frame-shape"),
    ],
)
def test_d3_a_bad_header_is_refused_before_its_payload(header: str, kind: str) -> None:
    with pytest.raises(native.NativeError) as error:
        native.FrameDecoder().feed(bytes.fromhex(header))
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ((native.KIND_DATA, 1, bytes(65537)), "frame-too-large"),
        ((9, 0, b""), "frame-kind"),
        ((native.KIND_LEASE, 0, b""), "frame-shape"),
        ((native.KIND_DATA, 0, b""), "frame-shape"),
    ],
)
def test_what_the_decoder_refuses_is_not_encoded(frame: Frame, kind: str) -> None:
    with pytest.raises(native.NativeError) as error:
        native.encode_frame(*frame)
    assert kind_of(error) == kind


def test_golden_frames() -> None:
    vectors = read("frames.txt")
    names = {name.partition(".")[0] for name in vectors}
    assert len(names) == len(KINDS)
    for name in names:
        ((kind, stream, payload),) = native.FrameDecoder().feed(vectors[f"{name}.frame"])
        assert payload == vectors[f"{name}.payload"]
        assert native.encode_frame(kind, stream, payload) == vectors[f"{name}.frame"]
        assert getattr(native, "KIND_" + name.upper().replace("-", "_")) == kind


def test_golden_heartbeat_has_the_order_of_the_reading() -> None:
    layout = struct.Struct(">IBxHHhQQQQQ")
    _, *fields = layout.unpack(read("frames.txt")["heartbeat.payload"])
    reading = Reading(*fields)
    assert layout.size == FIXED[native.KIND_HEARTBEAT]
    assert (reading.health, reading.workloads, reading.temperature_centi) == (1, 0x0203, -0x0506)
    assert reading.net_tx == 0x4142434445464748


def test_the_limit_is_exact() -> None:
    payload = bytes(native.MAX_PAYLOAD)
    ((_, _, found),) = native.FrameDecoder().feed(native.encode_frame(native.KIND_DATA, 1, payload))
    assert found == payload


# ---------------------------------------------------------------- msgpack

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=100,
)


def nesting(value: object) -> int:
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max((nesting(item) for item in inner), default=0)
    return 0


@given(plain)
def test_what_msgspec_writes_is_taken_up_to_the_depth(value: object) -> None:
    payload = msgspec.msgpack.encode(value)
    if nesting(value) <= 16:
        native.check_msgpack(payload)
    else:
        with pytest.raises(native.NativeError, match="msgpack-depth"):
            native.check_msgpack(payload)


@given(st.binary(max_size=100) | plain.map(msgspec.msgpack.encode), st.data())
def test_what_is_taken_is_one_whole_value_to_msgspec_too(payload: bytes, data: st.DataObject) -> None:
    if payload:
        at = data.draw(st.integers(0, len(payload) - 1))
        payload = payload[:at] + bytes([data.draw(st.integers(0, 255))]) + payload[at + 1 :]
    try:
        native.check_msgpack(payload)
    except native.NativeError:
        return
    assert other_decoder_misses_bytes(payload) is False


def other_decoder_misses_bytes(payload: bytes) -> bool:
    """Say whether msgspec sees an end too early or too late.

    Left to it and its schemas are keys that Python cannot hash. A text that is not UTF-8 would end this test.
    """
    try:
        msgspec.msgpack.decode(payload)
    except msgspec.DecodeError as error:
        return "truncated" in str(error).lower() or "trailing" in str(error).lower()
    except TypeError:
        return False
    return False


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "msgpack-truncated"),
        (b"\xdd\xff\xff\xff\xff", "msgpack-truncated"),
        (b"\xdf\xff\xff\xff\xff", "msgpack-truncated"),
        (b"\xc6\xff\xff\xff\xff", "msgpack-truncated"),
        (b"\x91" * 17 + b"\xc0", "msgpack-depth"),
        (b"\xdc\x40\x00" + b"\xc0" * 0x4000, "msgpack-items"),
        (b"\xc0\xc0", "msgpack-trailing"),
        (b"\xd4\x01\x00", "msgpack-type"),
        (b"\xc1", "msgpack-type"),
        (b"\xa1\xff", "msgpack-text"),
    ],
)
def test_d3_hostile_values_are_refused(payload: bytes, kind: str) -> None:
    with pytest.raises(native.NativeError) as error:
        native.check_msgpack(payload)
    assert kind_of(error) == kind


def hostile_payloads() -> list[bytes]:
    """Values at every limit at once, in fields that a message has and in fields it has not."""
    empty_maps = b"\xdc\x3f\xf0" + b"\x80" * 0x3FF0
    deep = b"\x91" * 15 + b"\xc0"
    long_text = b"\xdb\x00\x00\xfe\x00" + b"x" * 0xFE00
    tag = b"\xa1t\xa8"
    return [
        b"\x82" + tag + b"observed" + b"\xacobservations" + empty_maps,
        b"\x82" + tag + b"observed" + b"\xa7unknown" + empty_maps,
        b"\x82" + tag + b"observed" + b"\xa7unknown" + deep,
        b"\x82" + tag + b"observed" + b"\xacobservations" + long_text,
        empty_maps,
    ]


@pytest.mark.parametrize("payload", hostile_payloads(), ids=range(5))
def test_d3_decoding_what_passed_takes_at_most_8_times_the_input_and_64_kib(payload: bytes) -> None:
    native.check_msgpack(payload)
    tracemalloc.start()
    try:
        with pytest.raises(msgspec.DecodeError):
            messages.decode(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 8 * len(payload) + 65536
