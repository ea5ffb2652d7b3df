"""The roster: every trading bot that ever asked for a permit, and its last report. Knows nothing of holds."""
