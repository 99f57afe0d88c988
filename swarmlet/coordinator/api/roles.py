"""Who may do what over the admin socket: the kernel says who it is, this says what that is worth. Pure."""

from __future__ import annotations

import enum


class Role(enum.IntEnum):
    """What somebody may do; a higher role may do all that a lower one may (P1)."""

    NONE = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


class Audience(enum.Enum):
    """Whom a route is for; credentials of one audience are worth nothing at another's routes."""

    HUMAN = "human"
    NODE = "node"
    SCRAPER = "scraper"


def role_of(uid: int, own_uid: int) -> Role:
    """Return the role of a local user: root and the coordinator's own user are admins, others are nobody."""
    return Role.ADMIN if uid in (0, own_uid) else Role.NONE
