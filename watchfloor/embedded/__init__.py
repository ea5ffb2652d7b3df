"""Runs a private PostgreSQL for people who have none: finds binaries, creates a cluster, shares and stops it.

Pure standard library. Must never import the backend, open a TCP port, create a system user or change the mode
of a directory it did not make.
"""

from watchfloor.embedded.errors import ConfigurationError
from watchfloor.embedded.server import EmbeddedPostgres

__all__ = ["ConfigurationError", "EmbeddedPostgres"]
