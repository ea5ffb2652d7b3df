"""Takes backups of the database and restores them into a scratch server, to be compared with what they should hold."""
