"""Tests: unit (pure), backend (real PostgreSQL), console (Pilot), e2e (programs in a pty), bench (measurements)."""
