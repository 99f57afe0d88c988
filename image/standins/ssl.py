"""Stands where OpenSSL's module would be. TLS in this image is the native extension's, without OpenSSL.

Packages that can do without TLS still name some of its types when they are imported; those are here. Using
any of them fails with one clear line.
"""

# urllib3 asks this before it goes on without: it does not know any other library.
OPENSSL_VERSION = "OpenSSL is not in this image"
OPENSSL_VERSION_INFO = (3, 0, 0, 0, 0)
HAS_SNI = False
# What exposition servers of prometheus_client have as defaults.
PROTOCOL_TLS_CLIENT = 16
PROTOCOL_TLS_SERVER = 17


class SSLError(OSError):
    """Never raised but by this stand-in."""


class SSLWantReadError(SSLError):
    """Named by asyncio."""


class SSLWantWriteError(SSLError):
    """Named by asyncio."""


class SSLSyscallError(SSLError):
    """Named by asyncio."""


class SSLZeroReturnError(SSLError):
    """Named by urllib3."""


class SSLCertVerificationError(SSLError, ValueError):
    """Named by asyncio."""


CertificateError = SSLCertVerificationError


class _Absent:
    def __init__(self, *_args, **_kwargs):
        raise SSLError("this image has no OpenSSL: Python's own TLS cannot be used in it")


class SSLContext(_Absent):
    """Cannot be made."""


class SSLObject(_Absent):
    """Cannot be made."""


class SSLSocket(_Absent):
    """Cannot be made."""


class TLSVersion(_Absent):
    """Cannot be made."""


class Purpose(_Absent):
    """Cannot be made."""


def create_default_context(*_args, **_kwargs):
    """Fail."""
    return SSLContext()


_create_default_https_context = create_default_context
