"""Second sources: processes apart that look where executors cannot lie, and report what they see.

They act on nothing and hold no permit. A chain that hangs holds up neither the backend nor another chain.
"""
