"""PostgreSQL and a Redis-protocol server as supervised children of `firstread up`, for one machine without
either.
"""
