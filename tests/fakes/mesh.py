"""A mesh that knows what it is told to know."""

from __future__ import annotations

from collections.abc import Mapping

from swarmlet.coordinator.happenings import Happening, Happenings
from swarmlet.errors import error
from swarmlet.link.messages import MeshMeasured
from swarmlet.model.mesh import MeshView
from swarmlet.model.records import NodeRecord


class QuietMesh:
    """Fits ``api.call.Mesh``."""

    def __init__(self) -> None:
        self.known: dict[str, MeshView] = {}
        self.happenings = Happenings(0)
        self.told: list[str] = []
        self.answer: MeshMeasured | None = None

    def members(self) -> Mapping[str, MeshView]:
        return self.known

    def events(self, after: int, most: int) -> tuple[Happening, ...]:
        return self.happenings.after(after, most)

    def broadcast(self, text: str, _key: str) -> None:
        if len(text.encode()) > 512:
            raise error("SWL-617", detail="it is too long")
        self.told.append(text)

    async def measure(self, node: NodeRecord, other: NodeRecord) -> MeshMeasured:
        if self.answer is None:
            raise error("SWL-616", node=node.name, detail=f"it does not know {other.name}")
        return self.answer
