"""The demo: a database, a backend, simulated trading and the console, started and stopped as one.

Must hold no rule of the product and never use a way into the backend that a real installation lacks.
"""
