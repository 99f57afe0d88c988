"""Request bodies of the admin API. Unknown fields are refused (P3); bounds that a type can hold stand here.

Each bound names the option that sets the field (``flag``) and, where the bare bound says too little, what is
taken (``takes``): ``coordinator/api/body.py`` makes the sentence of a refusal from them, and ``docs/api.md``
its table. What a type cannot hold (a constraint's grammar, a container without an image) is judged by
``coordinator/requests.py``, with a sentence for whoever asked.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from swarmlet.model.membership import Availability
from swarmlet.model.names import LABEL_KEY, LABEL_VALUE
from swarmlet.model.workload import Kind, OnPartition, RestartPolicy, WorkloadSpec
from swarmlet.model.workload import Resources as SpecResources

_ARGUMENT = {"takes": "text of at most 4096 characters (put more into a file)", "private": True}
_LONG_LIFE_S = 10 * 365 * 86400
_LIFE = {"flag": "--expires", "takes": "1 to 315360000 seconds (1s to 3650d)"}
_NETWORK = {"takes": "a network such as 10.1.0.0/16, at most 63 characters"}
_PLACE = {"takes": "HOST:PORT, at most 261 characters"}
_KEY = {"takes": "a name of letters, digits and inner . _ / -, at most 63 characters"}
_VALUE = {"takes": "letters, digits and . _ : / @ + -, at most 253 characters"}

Text = Annotated[str, Meta(max_length=4096, extra=_ARGUMENT)]
Name = Annotated[str, Meta(max_length=63)]


class MintRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/tokens``. ``public_key`` is base64 of the 32 bytes of the seed's public half.

    ``expires_s`` is the token's life in seconds; past 7 days it needs ``force``. ``endpoints`` replaces the
    addresses the coordinator advertises.
    """

    public_key: Annotated[bytes, Meta(min_length=32, max_length=32, extra={"takes": "base64 of 32 bytes"})]
    expires_s: Annotated[int, Meta(ge=1, le=_LONG_LIFE_S, extra=_LIFE)] = 3600
    max_uses: Annotated[int, Meta(ge=1, le=1_000_000, extra={"flag": "--uses"})] = 1
    node_classes: Annotated[tuple[Name, ...], Meta(max_length=8, extra={"flag": "--node-type"})] = ()
    allow: Annotated[tuple[Name, ...], Meta(max_length=8, extra={"flag": "--allow"})] = ()
    cidrs: Annotated[
        tuple[Annotated[str, Meta(max_length=63, extra=_NETWORK)], ...],
        Meta(max_length=8, extra={"flag": "--cidr"}),
    ] = ()
    name_pattern: Annotated[str, Meta(max_length=63, extra={"flag": "--name"})] = ""
    endpoints: Annotated[
        tuple[Annotated[str, Meta(max_length=261, extra=_PLACE)], ...],
        Meta(max_length=4, extra={"flag": "--endpoint"}),
    ] = ()
    force: Annotated[bool, Meta(extra={"flag": "--force"})] = False


class RevokeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/tokens/{jti}/revoke``; ``cascade`` also removes every node born from it (T9)."""

    cascade: Annotated[bool, Meta(extra={"flag": "--cascade"})] = False


class PairingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/cluster/pairing``: whether devices without a token may ask to be approved."""

    on: bool


class ApproveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/pairings/{ref}/approve``; ``allow`` is what the node may be given, as in a token."""

    allow: Annotated[tuple[Name, ...], Meta(max_length=8, extra={"flag": "--allow"})] = ()


class LabelsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``PATCH /v1/nodes/{ref}/labels``; a value of ``null`` removes the label."""

    labels: Annotated[
        dict[
            Annotated[str, Meta(min_length=1, max_length=63, pattern=LABEL_KEY, extra=_KEY)],
            Annotated[str, Meta(max_length=253, pattern=LABEL_VALUE, extra=_VALUE)] | None,
        ],
        Meta(min_length=1, max_length=64, extra={"flag": "KEY=VALUE"}),
    ]


class AvailabilityRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/nodes/{ref}/availability``."""

    availability: Availability


class ResourcesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of one replica: ``cpu`` in cores, ``memory_mb`` in 10^6 bytes."""

    cpu: (
        Annotated[float, Meta(gt=0, le=4096, extra={"flag": "--cpu", "takes": "above 0 to 4096 cores"})]
        | None
    ) = None
    memory_mb: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=64_000_000,
                extra={"flag": "--memory", "takes": "1 to 64000000 megabytes (1m to 64000g)"},
            ),
        ]
        | None
    ) = None


class SubmitRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/workloads``: the fields of ``WorkloadSpec``; an empty ``name`` asks for one to be made."""

    kind: Kind
    name: Annotated[str, Meta(max_length=63, extra={"flag": "--name"})] = ""
    command: Annotated[tuple[Text, ...], Meta(max_length=256, extra={"flag": "after --"})] = ()
    image: Annotated[str, Meta(max_length=512, extra={"flag": "IMAGE"})] | None = None
    env: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=255)], Text],
        Meta(max_length=128, extra={"flag": "--env"}),
    ] = msgspec.field(default_factory=dict)
    replicas: Annotated[int, Meta(ge=1, le=1000, extra={"flag": "--replicas"})] = 1
    resources: ResourcesRequest = ResourcesRequest()
    restart: Annotated[RestartPolicy, Meta(extra={"flag": "--restart"})] = RestartPolicy.NEVER
    on_partition: Annotated[OnPartition, Meta(extra={"flag": "--on-partition"})] = OnPartition.KEEP
    node_type: Annotated[str, Meta(max_length=63, extra={"flag": "--node-type"})] | None = None
    constraints: Annotated[
        tuple[Annotated[str, Meta(max_length=320)], ...], Meta(max_length=32, extra={"flag": "--constraint"})
    ] = ()
    stop_grace_s: Annotated[
        float, Meta(ge=0, le=3600, extra={"flag": "--stop-grace", "takes": "0 to 3600 seconds (0s to 1h)"})
    ] = 10.0

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


class EventRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/events``: ``text`` is told to every member once, at most 512 bytes of UTF-8."""

    text: Annotated[str, Meta(min_length=1, max_length=512, extra={"takes": "1 to 512 bytes of text"})]
