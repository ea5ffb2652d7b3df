"""Runs a module and ends with the process that started it. Must work on every POSIX system and survive its signals.

`python -P -m watchfloor.demo.child DESCRIPTOR MODULE [ARGUMENT…]`. The descriptor is the reading end of a pipe that
only the starter can write to: its end of file means that the starter is gone, however it died.
"""

import os
import runpy
import signal
import sys
import threading
import time

PATIENCE_SECONDS = 2.5  # a backend finishes its requests, a console restores its terminal; then nothing may stay


def end_with_starter(descriptor: int) -> None:
    """Wait for the starter's end, then ask this process to stop, then insist."""
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Take the descriptor and the module from the command line and run the module as the main program."""
    descriptor, module = int(sys.argv[1]), sys.argv[2]
    os.set_inheritable(descriptor, False)
    threading.Thread(target=end_with_starter, args=(descriptor,), name="lifeline", daemon=True).start()
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
