"""Post-mortems of incidents and reports written elsewhere: pure cores, and the acts that use them."""
