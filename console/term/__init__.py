"""Owns the terminal: first frame, painting, input thread, signals, clipboard, cleaning of hostile text.

Must never import Textual here: the first frame is on the screen before Textual is loaded.
"""
