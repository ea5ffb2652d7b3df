"""Seeded executors that trade, lose and fail in believable ways through the public API and `gate`."""
