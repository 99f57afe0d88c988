"""What one command has changed so far. Pure bookkeeping; becomes the command's :class:`~.api.Result`."""

from __future__ import annotations

from collections.abc import Iterable

from swarmlet.coordinator.store.api import Admission, Result


class Effects:
    """Collects what an application function touched, each thing once and in order of first touch."""

    def __init__(self) -> None:
        self._tokens: dict[str, None] = {}
        self._nodes: dict[str, None] = {}
        self._workloads: dict[str, None] = {}
        self._assignments: dict[str, None] = {}
        self._desired: dict[str, None] = {}
        self._denied: dict[str, None] = {}
        self._forgiven: dict[str, None] = {}
        self._gone_workloads: dict[str, None] = {}
        self._gone_assignments: dict[str, None] = {}
        self._changed = False
        self.taken: tuple[tuple[str, int, int], ...] = ()
        self.admission: Admission | None = None
        self.chain: tuple[bytes, ...] = ()
        self.repeated = False

    @property
    def changed(self) -> bool:
        """Whether anything was touched."""
        return self._changed

    @property
    def desired(self) -> Iterable[str]:
        """Uids of the nodes whose desired set changed."""
        return self._desired

    def touch(self) -> None:
        """Something changed that no list of a result names."""
        self._changed = True

    def token(self, jti: str) -> None:
        """A token's row changed."""
        self._changed = True
        self._tokens[jti] = None

    def node(self, node_uid: str) -> None:
        """A node's row changed."""
        self._changed = True
        self._nodes[node_uid] = None

    def workload(self, workload_id: str) -> None:
        """A workload's row changed."""
        self._changed = True
        self._workloads[workload_id] = None

    def assignment(self, assignment_id: str, node_uid: str, *, desired: bool) -> None:
        """An assignment's row changed; ``desired`` when what its node is asked to run changed with it."""
        self._changed = True
        self._assignments[assignment_id] = None
        if desired:
            self._desired[node_uid] = None

    def deny(self, serial: str) -> None:
        """A certificate is refused from now on."""
        self._changed = True
        self._denied[serial] = None

    def forgive(self, serial: str) -> None:
        """A certificate that expired long ago is not refused by name any more."""
        self._changed = True
        self._forgiven[serial] = None

    def drop_workload(self, workload_id: str, assignments: Iterable[str]) -> None:
        """A workload's row is gone, and those of all its assignments."""
        self._changed = True
        self._gone_workloads[workload_id] = None
        self._gone_assignments.update(dict.fromkeys(assignments))

    def drop_assignment(self, assignment_id: str) -> None:
        """An assignment's row is gone."""
        self._changed = True
        self._gone_assignments[assignment_id] = None

    def result(self, seq: int, generations: dict[str, int]) -> Result:
        """Return the result of the command, which is record ``seq`` of the log."""
        return Result(
            seq=seq,
            repeated=self.repeated,
            tokens=tuple(self._tokens),
            nodes=tuple(self._nodes),
            workloads=tuple(self._workloads),
            assignments=tuple(self._assignments),
            generations=generations,
            denied=tuple(self._denied),
            forgiven=tuple(self._forgiven),
            gone_workloads=tuple(self._gone_workloads),
            gone_assignments=tuple(self._gone_assignments),
            taken=self.taken,
            admission=self.admission,
            chain=self.chain,
        )
