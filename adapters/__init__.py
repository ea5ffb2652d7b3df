"""Adapters: processes apart that stop software which does not ask a gate, and say only what they have checked.

They can not bound what such software sends between two of their looks: only a gate inside it, or a checker before it,
can.
"""
