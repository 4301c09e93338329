"""The read model and its indexes."""
