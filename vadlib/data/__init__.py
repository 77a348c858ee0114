"""A folder on disk -> `Video` -> clips."""
