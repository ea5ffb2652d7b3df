"""The database's cluster as a drill sees it: one port, an adapter for each thing that can run a cluster."""
