"""Hardware keys over SSH: which keys are taken, what they sign, and what an answer proves. Pure: no I/O, no clock."""
