"""Alerts: one per crossing, acknowledged by people, cleared by the rule that raised them."""
