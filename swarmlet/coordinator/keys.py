"""What a coordinator signs with. A key that is missing, damaged or of another cluster is fatal."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from swarmlet._native import SigningKey
from swarmlet.coordinator.ca import Authority
from swarmlet.coordinator.ca_files import AuthorityFiles
from swarmlet.coordinator.founding import authority_files, signing_key
from swarmlet.errors import error
from swarmlet.model import places
from swarmlet.model.records import ClusterRecord


class Keys(NamedTuple):
    """What the coordinator signs with."""

    authority: Authority
    files: AuthorityFiles
    tokens: SigningKey

    @classmethod
    def open(cls, directory: Path) -> Keys:
        """Read the keys of the cluster in ``directory``.

        Raises:
            SwarmletError: ``SWL-601`` when there is no cluster; a missing or damaged key is fatal.
        """
        if not (directory / places.DATABASE).exists():
            raise error("SWL-601", path=str(directory))
        files = authority_files(directory)
        authority = files.open()
        path = directory / places.TOKEN_KEY
        if not path.exists():
            # Made anew it would sign tokens that nobody could join with.
            raise error("SWL-612", path=str(path), detail="the file does not exist")
        return cls(authority, files, signing_key(directory))

    def check(self, cluster: ClusterRecord | None, directory: Path) -> None:
        """Refuse keys of another cluster than the database's.

        Raises:
            SwarmletError: ``SWL-601``, ``SWL-611``.
        """
        if cluster is None:
            raise error("SWL-601", path=str(directory))
        other = "it is of another cluster than the database"
        if cluster.root != self.authority.root:
            raise error("SWL-611", path=str(directory / "ca"), detail=other)
        if self.tokens.kid.hex() not in cluster.token_keys:
            raise error("SWL-611", path=str(directory / places.TOKEN_KEY), detail=other)
