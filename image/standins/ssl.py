"""Stands where OpenSSL's module would be. TLS in this image is the native extension's, without OpenSSL.

Packages that can do without TLS still name some of its types when they are imported; those are here. Using
any of them fails with one clear line.
"""

# urllib3 asks this before it goes on without: it does not know any other library.
OPENSSL_VERSION = "OpenSSL is not in this image"
OPENSSL_VERSION_INFO = (3, 0, 0, 0, 0)
HAS_SNI = False
REASON = "this image has no OpenSSL: Python's own TLS cannot be used in it"
# What exposition servers of prometheus_client have as defaults.
PROTOCOL_TLS_CLIENT = 16
PROTOCOL_TLS_SERVER = 17
# What uvloop compares errors with.
SSL_ERROR_WANT_READ = 2
SSL_ERROR_WANT_WRITE = 3
SSL_ERROR_SYSCALL = 5
# What aiohttp sets a context up with.
CERT_NONE = OP_NO_SSLv2 = OP_NO_SSLv3 = OP_NO_COMPRESSION = 0


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
        raise SSLError(REASON)


class SSLContext:
    """Can be made and set up, since some packages do so when they are imported; cannot be used."""

    options = 0
    verify_mode = 0
    check_hostname = False

    def __init__(self, *_args, **_kwargs):
        pass

    def set_alpn_protocols(self, _names):
        """Do nothing: no connection will be made."""

    def set_default_verify_paths(self):
        """Do nothing: there are none."""

    def __getattr__(self, _name):
        raise SSLError(REASON)


class MemoryBIO(_Absent):
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
    """Return a context that cannot be used."""
    return SSLContext()


_create_default_https_context = create_default_context
