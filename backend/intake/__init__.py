"""Taking trades in over HTTP: the transactions area stores them, the risk area judges the past days they touched."""
