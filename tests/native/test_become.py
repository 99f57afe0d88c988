"""Becoming another user for good, in a process of its own, since there is no way back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from swarmlet import _native

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

#: Tells what the process is afterwards. It imports all before: the user may not read the interpreter.
PROGRAM = """
import ctypes, encodings.ascii, json, os, sys, threading
from swarmlet import _native
libc = ctypes.CDLL(None, use_errno=True)
{before}
said = dict(kept=None, error=None, back=[])
try:
    said["kept"] = _native.become_user({uid}, {gid}, {groups}, no_new_privileges={nnp})
except _native.NativeError as failure:
    said["error"] = failure.args
for name, call in (("user", lambda: os.setresuid(0, 0, 0)), ("effective", lambda: os.seteuid(0)),
                   ("group", lambda: os.setresgid(0, 0, 0)), ("groups", lambda: os.setgroups([0])),
                   ("chown", lambda: os.chown("/", 0, 0))):
    try:
        call()
    except PermissionError:
        continue
    said["back"].append(name)
said["dumpable"] = libc.prctl(3, 0, 0, 0, 0)
said["status"] = dict(line.partition(":")[::2] for line in open("/proc/self/status").read().splitlines())
print(json.dumps(said))
"""


def become(
    before: str = "", *, uid: int = 10001, gid: int = 10001, groups: tuple[int, ...] = (), nnp: bool = False,
    prefix: tuple[str, ...] = (),
) -> dict[str, Any]:  # fmt: skip
    program = PROGRAM.format(before=before, uid=uid, gid=gid, groups=groups, nnp=nnp)
    done = subprocess.run(
        [*prefix, sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    found["status"] = {name: text.split() for name, text in found["status"].items()}
    return found


@root_only
def test_every_id_is_changed_and_none_comes_back():
    found = become(groups=(998, 20), nnp=True)
    status = found["status"]
    assert (found["error"], found["kept"], found["back"]) == (None, [], [])
    assert status["Uid"] == ["10001"] * 4
    assert status["Gid"] == ["10001"] * 4
    assert sorted(status["Groups"]) == ["20", "998"]
    for held in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[held][0], 16) == 0, held
    assert status["NoNewPrivs"] == ["1"]
    assert found["dumpable"] == 0


@root_only
def test_new_privileges_are_kept_where_that_is_asked():
    assert become()["status"]["NoNewPrivs"] == ["0"]


@root_only
def test_securebits_that_would_keep_the_capabilities_keep_none():
    # SECBIT_NO_SETUID_FIXUP and SECBIT_KEEP_CAPS, by which a change of user leaves all as it is.
    found = become("assert libc.prctl(28, 1 << 2 | 1 << 4, 0, 0, 0) == 0")
    assert (found["error"], found["back"]) == (None, [])
    assert int(found["status"]["CapPrm"][0], 16) == 0


@root_only
def test_with_no_more_than_it_needs_it_says_what_it_could_not_do():
    caps = "-all,+setuid,+setgid,+chown,+dac_override"
    found = become(prefix=("setpriv", f"--bounding-set={caps}", "--inh-caps=-all"))
    assert found["kept"] == ["emptying the bounding set: operation not permitted"]
    assert (found["back"], found["status"]["Uid"]) == ([], ["10001"] * 4)
    assert int(found["status"]["CapEff"][0], 16) == 0


@root_only
@pytest.mark.parametrize(
    ("caps", "step"),
    [("-all", "setting its groups"), ("-all,+setgid", "changing the user")],
    ids=["none", "setgid"],
)
def test_without_the_capability_it_fails_and_says_at_what(caps, step):
    found = become(prefix=("setpriv", f"--bounding-set={caps}", "--inh-caps=-all"))
    assert found["error"] == ["user-unchangeable", f"{step}: operation not permitted"]


@root_only
def test_with_other_threads_it_is_refused():
    found = become("threading.Thread(target=threading.Event().wait, daemon=True).start()")
    assert found["error"] == ["user-unchangeable", "other threads run already"]
    assert found["status"]["Uid"] == ["0"] * 4


@pytest.mark.parametrize(("uid", "gid"), [(0, 10001), (2**32 - 1, 1), (10001, 2**32 - 1)])
def test_root_and_nobody_at_all_are_no_users_to_become(uid, gid):
    with pytest.raises(_native.NativeError, match="this is no user to become"):
        _native.become_user(uid, gid, (), no_new_privileges=False)
