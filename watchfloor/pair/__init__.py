"""A primary and a standby of PostgreSQL on this machine, and the agent that is asked to kill, promote and rejoin them.

For the demo and for tests of what is run on clusters. Must hold no rule of the product, open no TCP port, and never
promote a standby that lacks what somebody was told is stored.
"""
