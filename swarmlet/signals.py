"""Which signals ask a process of ours to end in order."""

from __future__ import annotations

import signal


def asking_to_end() -> tuple[signal.Signals, ...]:
    """Return SIGTERM and SIGINT, and SIGHUP, which a closed terminal or a lost line to it sends.

    Where SIGHUP is ignored, somebody wants the process to outlive its terminal (``nohup``); it stays ignored.
    """
    usual = (signal.SIGTERM, signal.SIGINT)
    return usual if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*usual, signal.SIGHUP)
