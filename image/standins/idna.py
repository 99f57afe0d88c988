"""Stands where the tables of international host names would be: only names in ASCII are understood."""


class IDNAError(UnicodeError):
    """Raised for a name that is not ASCII."""


def encode(name, *_args, **_kwargs):
    """Return an ASCII name as bytes."""
    if isinstance(name, bytes):
        return name
    try:
        return name.encode("ascii")
    except UnicodeEncodeError:
        raise IDNAError(f"{name!r} is not ASCII; write the name in its xn-- form") from None


def decode(name, *_args, **_kwargs):
    """Return an ASCII name as text."""
    return name.decode("ascii") if isinstance(name, bytes) else name
