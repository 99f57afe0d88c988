"""Asks a node how it sees another one: its round trip and what its mesh says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from swarmlet.coordinator.connections import Peer, node_bytes
from swarmlet.errors import error
from swarmlet.link.messages import MeshMeasure, MeshMeasured

#: Seconds that a node has to answer.
PATIENCE_S = 5.0
#: Questions that may be open at once.
MOST_OPEN = 64


class Measuring:
    """Questions that are open, and their answers.

    Args:
        speaking: Returns the connections that speak for members, by uid.
    """

    def __init__(self, speaking: Callable[[], Mapping[str, Peer]]) -> None:
        self._speaking = speaking
        self._open: dict[int, tuple[str, asyncio.Future[MeshMeasured]]] = {}
        self._last = 0

    async def ask(self, node_uid: str, other_uid: str, name: str) -> MeshMeasured:
        """Return how ``node_uid`` sees ``other_uid``.

        Args:
            node_uid: Whom to ask.
            other_uid: About whom.
            name: The name of the asked, for a refusal.

        Raises:
            SwarmletError: ``SWL-616``: it is not connected, or does not answer.
        """
        peer = self._speaking().get(node_uid)
        if peer is None or peer.mesh is None or len(self._open) >= MOST_OPEN:
            raise error("SWL-616", node=name, detail="it is not connected, or does not gossip")
        self._last += 1
        number = self._last
        answer: asyncio.Future[MeshMeasured] = asyncio.get_running_loop().create_future()
        self._open[number] = (node_uid, answer)
        try:
            peer.send(MeshMeasure(number, node_bytes(other_uid)))
            async with asyncio.timeout(PATIENCE_S):
                return await answer
        except TimeoutError:
            raise error("SWL-616", node=name, detail="it did not answer in time") from None
        finally:
            del self._open[number]

    async def answered(self, peer: Peer, answer: MeshMeasured) -> None:
        """Take an answer; one that nobody waits for, or of another node, is dropped."""
        asked, waiting = self._open.get(answer.number, ("", None))
        if waiting is not None and asked == peer.node_uid and not waiting.done():
            waiting.set_result(answer)
