"""Recovery drills that really fail over, the cluster they are run on, and the backups a recovery needs."""
