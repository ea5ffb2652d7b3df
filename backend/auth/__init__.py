"""Sign-in, sessions, service tokens and permissions. Which role may do what is policy data."""
