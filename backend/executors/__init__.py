"""Executors: what each trading bot reports, and the permits it trades under."""
