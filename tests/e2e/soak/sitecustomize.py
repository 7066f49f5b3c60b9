"""Put on the path of a server under test: on SIGUSR1 a process says how many blocks of memory Python has given out in it."""

import gc
import os
import signal
import sys


def _count(*_: object) -> None:
    gc.collect()
    sys.stderr.write(f"blocks of {os.getpid()}: {sys.getallocatedblocks()}\n")
    sys.stderr.flush()


signal.signal(signal.SIGUSR1, _count)
