"""Listens to one Firestore collection and turns what Firestore sends into events. Knows nothing of its consumers."""
