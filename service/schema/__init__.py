"""The schema: how documents become answers."""
