"""Questions whose answers are frozen dataclasses; nothing here writes."""
