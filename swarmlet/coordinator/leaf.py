"""The coordinator's own certificate: made at start, renewed before it ends, put before new handshakes.

Its key is new each time and lives in native memory only; nothing of it is ever on disk. The intermediate that
signs it is renewed here too, while the root's key is at hand.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from swarmlet._native import KeyPair, ServerTls
from swarmlet.clock import Clock
from swarmlet.coordinator.ca import EARLY_MS, LEAF_MS, Authority, Issued, Role, check_csr
from swarmlet.coordinator.ca_files import AuthorityFiles
from swarmlet.errors import SwarmletError

#: Seconds between looks at the clock: it may have been set, or the machine may have slept.
LOOK_S = 30.0

logger = logging.getLogger(__name__)


def should_renew(now_ms: int, not_after_ms: int) -> bool:
    """Say whether a leaf is past its half, or from a future that the clock has left again."""
    return not_after_ms - LEAF_MS // 2 <= now_ms or now_ms < not_after_ms - LEAF_MS - EARLY_MS


class Leaf:
    """The certificate of the listeners.

    Args:
        authority: Signs it.
        files: Where the authority is kept, for its own renewal.
        clock: The coordinator's.
    """

    def __init__(self, authority: Authority, files: AuthorityFiles, clock: Clock) -> None:
        self.authority = authority
        self._files = files
        self._clock = clock
        self._issued: Issued | None = None

    def fresh(self) -> ServerTls:
        """Return TLS with a new key and a certificate for it.

        Raises:
            SwarmletError: ``SWL-613`` when the intermediate has expired.
        """
        key = KeyPair.generate()
        authority = self.authority
        now_ms = self._clock.wall_ms()
        issued = authority.issue(check_csr(key.csr("coordinator")), Role.COORDINATOR, "", now_ms)
        self._issued = issued
        return ServerTls(key, issued.chain, authority.root, authority.cluster_id)

    async def renew_intermediate(self) -> bool:
        """Let the root sign a new intermediate when it is time; say whether it did.

        Raises:
            SwarmletError: As :meth:`~swarmlet.coordinator.ca_files.AuthorityFiles.renew`.
        """
        now_ms = self._clock.wall_ms()
        if not self.authority.should_renew(now_ms):
            return False
        renewed = await asyncio.to_thread(self._files.renew, now_ms)
        if renewed is None:
            logger.warning("the intermediate certificate ends soon and the root's key is not here")
            return False
        self.authority = renewed
        logger.info("the root signed a new intermediate certificate")
        return True

    async def keep(
        self, use: Callable[[ServerTls], None], signed: Callable[[Authority], Awaitable[None]]
    ) -> None:
        """Renew for ever.

        Args:
            use: Puts new TLS before new handshakes.
            signed: Told a new authority, to record it and to sign with it.
        """
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if await self.renew_intermediate():
                    await signed(self.authority)
                if self._issued is None or should_renew(self._clock.wall_ms(), self._issued.not_after_ms):
                    use(self.fresh())
                    logger.info("the coordinator's certificate was renewed")
            except SwarmletError as failure:
                logger.warning("a certificate was not renewed: %s", failure)
