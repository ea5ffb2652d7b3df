"""Notifications: telling people outside the console by mail, chat, pager or webhook, and keeping what came of it."""
