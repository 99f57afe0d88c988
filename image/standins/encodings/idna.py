"""Host names for the socket module, in ASCII only: the tables of other scripts are 700 kB no cluster needs.

A name in another script can be given in its xn-- form, which is ASCII.
"""

import codecs

MAX_LABEL = 63


def _ascii(text):
    try:
        data = text.encode("ascii")
    except UnicodeEncodeError as failure:
        reason = "this image understands host names in ASCII only; write the name in its xn-- form"
        raise UnicodeEncodeError("idna", text, failure.start, failure.end, reason) from None
    labels = data.split(b".")
    if labels and not labels[-1]:
        labels.pop()
    for label in labels:
        if not 0 < len(label) <= MAX_LABEL:
            raise UnicodeEncodeError("idna", text, 0, len(text), "label empty or too long")
    return data


def _text(data):
    return bytes(data).decode("ascii")


class Codec(codecs.Codec):
    """Both ways, at once."""

    def encode(self, input, errors="strict"):
        """Return the name as bytes."""
        return _ascii(input), len(input)

    def decode(self, input, errors="strict"):
        """Return the name as text."""
        return _text(input), len(input)


class IncrementalEncoder(codecs.IncrementalEncoder):
    """A name comes in one piece."""

    def encode(self, input, final=False):
        """Return the name as bytes."""
        return _ascii(input)


class IncrementalDecoder(codecs.IncrementalDecoder):
    """A name comes in one piece."""

    def decode(self, input, final=False):
        """Return the name as text."""
        return _text(input)


class StreamWriter(Codec, codecs.StreamWriter):
    """As the registry wants it."""


class StreamReader(Codec, codecs.StreamReader):
    """As the registry wants it."""


def getregentry():
    """Return the codec for the registry."""
    return codecs.CodecInfo(
        name="idna",
        encode=Codec().encode,
        decode=Codec().decode,
        incrementalencoder=IncrementalEncoder,
        incrementaldecoder=IncrementalDecoder,
        streamwriter=StreamWriter,
        streamreader=StreamReader,
    )
