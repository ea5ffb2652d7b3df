"""The screens of recovery drills and backups."""
