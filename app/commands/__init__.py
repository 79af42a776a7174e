"""Verbs that change something, each in the caller's transaction and with its audit event."""
