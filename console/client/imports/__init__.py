"""Owns reading a file of trades and sending it: formats, columns, values, and the staged upload. Imports no textual."""
