"""Dask's submit to result, for ``submit.py``: runs in an environment that has Dask and nothing of ours."""

from __future__ import annotations

import json
import sys
import time

import distributed  # type: ignore[import-not-found]


def one_more(number: int) -> int:
    """Do next to nothing, on a worker."""
    return number + 1


def main(runs: int) -> None:
    """Print how long each of ``runs`` calls took, as JSON."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
        ) as workers,
        distributed.Client(workers) as client,
    ):
        client.submit(one_more, 0, pure=False).result()
        seconds = []
        for number in range(runs):
            began = time.perf_counter()
            client.submit(one_more, number, pure=False).result()
            seconds.append(time.perf_counter() - began)
    print(json.dumps({"version": distributed.__version__, "seconds": seconds}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
