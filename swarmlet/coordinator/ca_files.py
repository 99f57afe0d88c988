"""Where the certificate authority is kept: two directories, one of them worth a safe. Holds no rule.

::

    ca/root.crt           the root's certificate (PEM)
    ca/root.key           its key, sealed; may be moved offline, is needed again every second month
    ca/intermediate.pem   the signing certificate, earlier ones, the sealed key: replaced together
    secrets/kek           32 random bytes, 0600: opens both keys; keep it out of the database and its backups

A killed coordinator comes back alone because the key file is on the same machine. A missing, short, empty or
wrong key file is fatal (``SWL-603``): nothing is ever sealed with, or opened by, a key that is not there.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from swarmlet.coordinator import ca
from swarmlet.coordinator.ca_sealed import KEK_BYTES, Sealed, SealError, checked
from swarmlet.errors import error

_PRIVATE: Final = 0o600
#: No file here is longer; a longer one is not ours.
_LONGEST: Final = 64 * 1024


class AuthorityFiles:
    """The files of one authority.

    Args:
        directory: The ``ca`` directory.
        kek: The key file.
    """

    def __init__(self, directory: Path, kek: Path) -> None:
        self._kek = kek
        self._root = directory / "root.crt"
        self._root_key = directory / "root.key"
        self._intermediate = directory / "intermediate.pem"

    def exists(self) -> bool:
        """Say whether a whole authority is there; what a founding that was cut short left does not count."""
        return self._root.exists() and self._intermediate.exists()

    def found(self, cluster_id: str, now_ms: int, random: ca.Random = os.urandom) -> ca.Authority:
        """Make an authority, or overwrite the remains of one that was never whole.

        Raises:
            UsageError: ``SWL-600``, there is one.
            StateError: ``SWL-301``, ``SWL-302``, or ``SWL-603`` for an unusable key file.
        """
        if self.exists():
            raise error("SWL-600", path=str(self._root.parent))
        if not self._kek.exists():
            self._write(self._kek, random(KEK_BYTES))
        kek = self._read_kek()
        sealed = ca.found(cluster_id, kek, now_ms, random)
        self._write(self._root_key, (sealed.root_key or "").encode())
        self._write(self._root, sealed.root.encode())
        # Last: with it the authority counts as whole.
        self._write(self._intermediate, sealed.intermediate.encode())
        return ca.restore(sealed, kek, random)

    def open(self, random: ca.Random = os.urandom) -> ca.Authority:
        """Open the authority; the root's key is not touched.

        Raises:
            StateError: ``SWL-603`` the key file is missing, empty or another one, ``SWL-610`` it can be read
                by others, ``SWL-611`` a file is damaged, ``SWL-612`` one is not there.
        """
        kek = self._read_kek()
        sealed = self._read()
        with self._opening():
            return ca.restore(sealed, kek, random)

    def renew(self, now_ms: int, random: ca.Random = os.urandom) -> ca.Authority | None:
        """Let the root sign a new intermediate and put it in place.

        Returns:
            The authority that signs from now on; ``None`` when the root's key is kept elsewhere.

        Raises:
            StateError: As :meth:`open`.
        """
        sealed = self._read()
        if sealed.root_key is None:
            return None
        kek = self._read_kek()
        with self._opening():
            renewed = ca.renew(sealed, kek, now_ms, random)
            authority = ca.restore(renewed, kek, random)
        self._write(self._intermediate, renewed.intermediate.encode())
        return authority

    # ---- files

    def _read(self) -> Sealed:
        for path in (self._root, self._intermediate):
            if not path.exists():
                # Not a missing cluster: to found one is the last thing to do now.
                raise error("SWL-612", path=str(path), detail="the file does not exist")
        root_key = self._text(self._root_key) if self._root_key.exists() else None
        return Sealed(self._text(self._root), root_key, self._text(self._intermediate))

    def _text(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                return file.read(_LONGEST).decode("ascii")
        except UnicodeDecodeError as failure:
            raise error("SWL-611", path=str(path), detail="it is not text") from failure
        except OSError as failure:
            raise error("SWL-612", path=str(path), detail=failure.strerror or "?") from failure

    def _read_kek(self) -> bytes:
        try:
            with self._kek.open("rb") as file:
                status = os.fstat(file.fileno())
                kek = file.read(KEK_BYTES + 1)
        except OSError as failure:
            raise error("SWL-603", path=str(self._kek)) from failure
        if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid not in {os.geteuid(), 0}:
            raise error("SWL-610", path=str(self._kek))
        with self._opening():
            return checked(kek)

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except SealError as failure:
            raise error("SWL-603", path=str(self._kek)) from failure
        except ValueError as failure:
            raise error("SWL-611", path=str(self._root.parent), detail=str(failure)[:200]) from failure

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        """Put ``data`` in place by atomic rename, on disk when this returns."""
        draft = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _PRIVATE)
            with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(data)
                file.flush()
                os.fsync(handle)
            draft.rename(path)
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as failure:
            code = "SWL-302" if failure.errno == 28 else "SWL-301"
            raise error(code, path=str(path.parent), detail=failure.strerror or "?") from failure
