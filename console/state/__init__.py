"""What the screens show, as frozen values and pure functions. Must never import Textual, do I/O or read a clock."""
