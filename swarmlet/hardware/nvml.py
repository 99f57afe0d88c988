"""Counting graphics processors with NVIDIA's own library, opened at run time through cffi (extra ``gpu``).

NVML is a glibc library: under musl it cannot be loaded, and everything here answers ``None``.
"""

from __future__ import annotations

from typing import Any

LIBRARY = "libnvidia-ml.so.1"
_DECLARATIONS = """
int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned int *count);
"""
_SUCCESS = 0
_MOST = 1024


def count_gpus(library: str = LIBRARY) -> int | None:
    """Return how many graphics processors NVIDIA's driver gives this process.

    Returns:
        ``None`` when cffi or the library is absent, or the driver does not answer.
    """
    try:
        from cffi import FFI  # noqa: PLC0415 - optional, and costs tens of milliseconds
    except ImportError:
        return None
    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        nvml: Any = ffi.dlopen(library)
        if nvml.nvmlInit_v2() != _SUCCESS:
            return None
        count = ffi.new("unsigned int *")
        status = nvml.nvmlDeviceGetCount_v2(count)
        nvml.nvmlShutdown()
    except (OSError, AttributeError):
        return None
    return int(count[0]) if status == _SUCCESS and count[0] <= _MOST else None
