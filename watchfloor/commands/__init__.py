"""Owns the list of all commands and finds the module of each; imports none until it is called.

Server commands live here, one module a command with a `command` (click); all others belong to `console.cli`.
"""
