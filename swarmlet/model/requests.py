"""Request bodies of the admin API. Unknown fields are refused (P3); bounds that a type can hold stand here.

What a type cannot hold (a constraint's grammar, a container without an image) is judged by
``coordinator/requests.py``, with a sentence for whoever asked.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from swarmlet.model.membership import Availability
from swarmlet.model.names import LABEL_KEY, LABEL_VALUE
from swarmlet.model.workload import Kind, OnPartition, RestartPolicy, WorkloadSpec
from swarmlet.model.workload import Resources as SpecResources

Text = Annotated[str, msgspec.Meta(max_length=4096)]
Name = Annotated[str, msgspec.Meta(max_length=63)]


class MintRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/tokens``. ``public_key`` is base64 of the 32 bytes of the seed's public half.

    ``expires_s`` is the token's life in seconds; past 7 days it needs ``force``. ``endpoints`` replaces the
    addresses the coordinator advertises.
    """

    public_key: bytes
    expires_s: Annotated[int, msgspec.Meta(ge=1, le=10 * 365 * 86400)] = 3600
    max_uses: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1
    node_classes: Annotated[tuple[Name, ...], msgspec.Meta(max_length=8)] = ()
    allow: Annotated[tuple[Name, ...], msgspec.Meta(max_length=8)] = ()
    cidrs: Annotated[tuple[Name, ...], msgspec.Meta(max_length=8)] = ()
    name_pattern: Annotated[str, msgspec.Meta(max_length=128)] = ""
    endpoints: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=261)], ...], msgspec.Meta(max_length=4)
    ] = ()
    force: bool = False


class RevokeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/tokens/{jti}/revoke``; ``cascade`` also removes every node born from it (T9)."""

    cascade: bool = False


class LabelsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``PATCH /v1/nodes/{ref}/labels``; a value of ``null`` removes the label."""

    labels: Annotated[
        dict[
            Annotated[str, msgspec.Meta(min_length=1, max_length=63, pattern=LABEL_KEY)],
            Annotated[str, msgspec.Meta(max_length=253, pattern=LABEL_VALUE)] | None,
        ],
        msgspec.Meta(min_length=1, max_length=64),
    ]


class AvailabilityRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/nodes/{ref}/availability``."""

    availability: Availability


class ResourcesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of one replica: ``cpu`` in cores, ``memory_mb`` in 10^6 bytes."""

    cpu: Annotated[float, msgspec.Meta(gt=0, le=4096)] | None = None
    memory_mb: Annotated[int, msgspec.Meta(ge=1, le=64_000_000)] | None = None


class SubmitRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/workloads``: the fields of ``WorkloadSpec``; an empty ``name`` asks for one to be made."""

    kind: Kind
    name: Name = ""
    command: Annotated[tuple[Text, ...], msgspec.Meta(max_length=256)] = ()
    image: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    env: Annotated[dict[Annotated[str, msgspec.Meta(max_length=255)], Text], msgspec.Meta(max_length=128)] = (
        msgspec.field(default_factory=dict)
    )
    replicas: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    resources: ResourcesRequest = ResourcesRequest()
    restart: RestartPolicy = RestartPolicy.NEVER
    on_partition: OnPartition = OnPartition.KEEP
    node_type: Name | None = None
    constraints: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=320)], ...], msgspec.Meta(max_length=32)
    ] = ()
    stop_grace_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0

    def spec(self, name: str) -> WorkloadSpec:
        """Return the workload this request asks for, under ``name``."""
        return WorkloadSpec(
            name=name,
            kind=self.kind,
            command=self.command,
            image=self.image,
            env=self.env,
            replicas=self.replicas,
            resources=SpecResources(cpu=self.resources.cpu, memory_mb=self.resources.memory_mb),
            restart=self.restart,
            on_partition=self.on_partition,
            node_type=self.node_type,
            constraints=self.constraints,
            stop_grace_s=self.stop_grace_s,
        )
