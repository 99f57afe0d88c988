"""Which user a command about the agent runs as: in the image all start as root, ``docker exec`` too.

Whatever reads or changes the agent's directory does so as the agent's user: nothing of root's is left there
that the agent could not replace, and what is seen is what the agent sees. ``join`` and ``run`` do it in
``agent/startup.py``.
"""

from __future__ import annotations

import os

from swarmlet.config.keys import Config
from swarmlet.config.privilege import agents_standing, callers_user, user_of


def settle(config: Config) -> None:
    """Become the agent's user, when this was started as root and ``SWARM_RUN_AS`` is set.

    After a token file was read, which may be root's.

    Raises:
        LocalError: ``SWL-312``; it cannot.
    """
    wanted = user_of(config.run_as)
    if wanted is None or os.geteuid() != 0:
        return
    from swarmlet.config.becoming import agents_user, become, engine_socket  # noqa: PLC0415 - rarely needed
    from swarmlet.hardware.engine import paths  # noqa: PLC0415 - as above

    user = callers_user(wanted, agents_user(config.data_dir))
    standing = agents_standing(user, engine_socket(paths(config.docker_host)))
    become(standing, config.data_dir, for_good=False)
