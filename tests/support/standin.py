"""A program to be supervised: says `ready` and stays; `stubborn` ignores SIGTERM, `brief` ends with code 7."""

import signal
import sys
import time

if __name__ == "__main__":
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(*sys.argv[1:], "ready", flush=True)  # noqa: T201  read from its log
    if "brief" in sys.argv:
        sys.exit(7)
    time.sleep(600)
