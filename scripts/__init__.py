"""Programs for people who work on Watchfloor: gates, lock files, generated documents. Never part of the wheel."""
