"""The demo's backend process: brings the database up to date, makes the demo's users, then serves as always.

One process for both, so that the imports are paid for once.
"""

import os
import socket
import sys

from backend import migrate
from backend.errors import ConfigurationError
from backend.settings import Settings
from watchfloor.serving import serve

EXIT_OK, EXIT_FAILED, EXIT_CONFIGURATION = 0, 1, 3


def main() -> int:
    """Prepare, serve, and report readiness on the status descriptor."""
    status = int(os.environ["WATCHFLOOR_DEMO_STATUS_FD"])
    listening = socket.socket(fileno=int(os.environ["WATCHFLOOR_DEMO_LISTEN_FD"]))
    try:
        settings = Settings()
        migrate.upgrade(settings.database_url)
    except ConfigurationError as error:
        sys.stderr.write(f"watchfloor: {error}\n")
        return EXIT_CONFIGURATION

    def report() -> None:
        os.write(status, b"ready")
        os.close(status)

    return EXIT_OK if serve(settings, listening=listening, on_ready=report) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
