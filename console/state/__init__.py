"""What the screens show: frozen dataclasses and reducers. Imports no textual."""
