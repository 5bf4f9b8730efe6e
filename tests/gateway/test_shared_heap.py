"""Threads share one heap of the C library."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading

from floorline.gateway.shared_heap import share_heap

if sys.argv[1] == "shared":
    share_heap()
kept, together = [], threading.Barrier(4)


def allocate():
    together.wait()
    # Larger than what Python's own allocator takes.
    kept.append([bytes(2_000) for _ in range(2_000)])
    together.wait()


threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
c = ctypes.CDLL(None)
c.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(c.fdopen(1, b"w"))
c.malloc_info(0, out)
c.fflush(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has several heaps")
@pytest.mark.parametrize("how", ["shared", "apart"])
def test_threads_share_one_heap(how):
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, check=True, env=environment
    )
    assert (done.stdout.count(b"<heap nr=") == 1) == (how == "shared")
