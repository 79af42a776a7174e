"""The second way in: Celery tasks; the only place where records and the network meet."""
