"""From the bytes of a request to the value that is meant, or to plain sentences about what cannot be taken.

The bounds stand in ``model/requests.py``. The fast path is msgspec's own; only a body that it refuses is
walked again, so that every fault is named at once, each with its field, the option that sets it, the value
and what would be taken. Pure.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from swarmlet.errors import error

#: How much of a value a refusal repeats, and how many faults it names.
_SHOWN: Final = 40
_FAULTS: Final = 5
#: Kinds with bounds on how long they are.
_Sized = inspect.StrType | inspect.BytesType | inspect.VarTupleType | inspect.DictType
_HINT: Final = "change that and ask again; docs/api.md lists what every field takes"


def read(kind: type[Any], raw: bytes) -> Any:
    """Return the body of a request.

    Raises:
        SwarmletError: ``SWL-608`` with a sentence for each thing that cannot be taken.
    """
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        detail = "; ".join(_limited(_faults(kind, raw))) or f"its body is not as expected: {fault}"
        raise error("SWL-608", detail=detail, hint=_HINT) from None


def taken(kind: type[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield field, option and what is taken of every field of a body, for the documents."""
    shape = inspect.type_info(kind)
    if isinstance(shape, inspect.StructType):
        yield from _rows(shape, "")


# ---- faults


def _limited(faults: Iterator[str]) -> list[str]:
    found = list(faults)
    more = [f"and {len(found) - _FAULTS} more"] if len(found) > _FAULTS else []
    return found[:_FAULTS] + more


def _faults(kind: type[Any], raw: bytes) -> Iterator[str]:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        yield f"its body is not JSON that can be read ({fault})"
        return
    yield from _judge(inspect.type_info(kind), value, "its body", "")


def _judge(kind: inspect.Type, value: Any, name: str, flag: str) -> Iterator[str]:
    """Yield what is wrong with one value; ``name`` and ``flag`` say whose it is."""
    kind, extra = _plain(kind)
    flag = str(extra.get("flag", flag))
    whose = f"{name} ({flag})" if flag else name
    if _is_optional(kind) and value is None:
        return
    kind, inner = _plain(_wanted(kind))
    extra = {**inner, **extra}
    flag = str(extra.get("flag", flag))
    whose = f"{name} ({flag})" if flag else name
    if isinstance(kind, inspect.StructType):
        yield from _judge_struct(kind, value, name)
    elif not _fits(kind, value):
        yield f"{whose} {_has(kind, value, extra)} {_takes(kind, extra)}"
    elif isinstance(kind, inspect.VarTupleType):
        for number, item in enumerate(value, 1):
            yield from _judge(kind.item_type, item, f"{name}, number {number}", flag)
    elif isinstance(kind, inspect.DictType):
        for key, item in value.items():
            yield from _judge(kind.key_type, key, f"{name}, a name", flag)
            yield from _judge(kind.value_type, item, f"{name}, the value of {_show(key)}", flag)


def _judge_struct(kind: inspect.StructType, value: Any, name: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{name} is {_show(value)}: it may be an object with the fields {_listed(kind)}"
        return
    known = {field.encode_name: field for field in kind.fields}
    prefix = "" if name == "its body" else f"{name}."
    for key, item in value.items():
        if key in known:
            yield from _judge(known[key].type, item, prefix + key, "")
        else:
            yield f"there is no field {_show(key)}: it may have {_listed(kind)}"
    for key, field in known.items():
        if field.required and key not in value:
            yield f"{prefix}{key} is missing: it may be {_takes(*_plain(field.type))}"


def _listed(kind: inspect.StructType) -> str:
    return ", ".join(field.encode_name for field in kind.fields) or "none"


def _has(kind: inspect.Type, value: Any, extra: Mapping[str, Any]) -> str:
    """Return what a value is, up to what it may be instead."""
    if isinstance(kind, inspect.VarTupleType | inspect.DictType) and isinstance(value, list | dict):
        return f"has {len(value)} entries: it may have"
    if extra.get("private") and isinstance(value, str):
        return f"has {len(value)} characters: it may be"
    return f"is {_show(value)}: it may be"


def _show(value: Any) -> str:
    if isinstance(value, str):
        cut = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
        long = f" ({len(value)} characters)" if len(value) > _SHOWN else ""
        return f"{cut!r}{long}"
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)[:_SHOWN]


# ---- kinds


def _plain(kind: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any]]:
    """Return a kind without the words that hang on it, and those words."""
    extra: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata):
        extra.update(kind.extra or {})
        kind = kind.type
    return kind, extra


def _is_optional(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.UnionType) and kind.includes_none


def _wanted(kind: inspect.Type) -> inspect.Type:
    """Return what an optional value is when it is there."""
    if isinstance(kind, inspect.UnionType):
        return next(one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind


def _fits(kind: inspect.Type, value: Any) -> bool:  # noqa: PLR0911 - one answer a kind
    """Say whether a value is of a kind and within its own bounds; what it holds is judged apart."""
    match kind:
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType() | inspect.FloatType():
            whole = isinstance(kind, inspect.IntType)
            number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            return number and _within(kind, value)
        case inspect.StrType():
            return isinstance(value, str) and _sized(kind, len(value)) and _matches(kind.pattern, value)
        case inspect.EnumType():
            return value in [one.value for one in kind.cls]
        case inspect.VarTupleType():
            return isinstance(value, list) and _sized(kind, len(value))
        case inspect.DictType():
            return isinstance(value, dict) and _sized(kind, len(value))
        case inspect.BytesType():
            return isinstance(value, str) and _is_base64(value, kind)
        case _:
            return True


def _within(kind: inspect.IntType | inspect.FloatType, value: float) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


def _sized(kind: _Sized, size: int) -> bool:
    return (kind.min_length or 0) <= size and (kind.max_length is None or size <= kind.max_length)


def _is_base64(text: str, kind: inspect.BytesType) -> bool:
    try:
        return _sized(kind, len(base64.b64decode(text, validate=True)))
    except ValueError:
        return False


def _matches(pattern: str | None, value: str) -> bool:
    return pattern is None or re.search(pattern, value) is not None


def _takes(kind: inspect.Type, extra: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one answer a kind
    """Return in words what a field takes."""
    inner, more = _plain(_wanted(kind))
    if inner is not kind:
        return _takes(inner, {**more, **extra})
    if "takes" in extra:
        return str(extra["takes"])
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number from {kind.ge} to {kind.le}"
        case inspect.FloatType():
            return f"a number from {kind.ge} to {kind.le}"
        case inspect.StrType():
            return f"text of at most {kind.max_length} characters"
        case inspect.EnumType():
            return ", ".join(str(one.value) for one in kind.cls)
        case inspect.VarTupleType() | inspect.DictType():
            low = f"{kind.min_length} to " if kind.min_length else "at most "
            return f"{low}{kind.max_length} entries"
        case _:
            return "an object"


def _rows(shape: inspect.StructType, prefix: str) -> Iterator[tuple[str, str, str]]:
    for field in shape.fields:
        name = prefix + field.encode_name
        kind, extra = _plain(field.type)
        inner, more = _plain(_wanted(kind))
        if isinstance(inner, inspect.StructType):
            yield from _rows(inner, f"{name}.")
            continue
        words = {**more, **extra}
        yield name, str(words.get("flag", "")), _whole(inner, words)


def _whole(kind: inspect.Type, words: Mapping[str, Any]) -> str:
    """Return what a field takes, and what each thing it holds may be."""
    takes = _takes(kind, words)
    if isinstance(kind, inspect.VarTupleType):
        return f"{takes}, each {_takes(*_plain(kind.item_type))}"
    if isinstance(kind, inspect.DictType):
        key, value = _takes(*_plain(kind.key_type)), _takes(*_plain(kind.value_type))
        return f"{takes}, each name {key}, each value {value}"
    return takes
