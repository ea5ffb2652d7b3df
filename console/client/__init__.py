"""HTTP client and event stream. Imports no textual."""
