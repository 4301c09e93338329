"""What Firestore says about one collection, as events. Knows nothing of its consumers."""
