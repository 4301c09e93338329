"""What Firestore says about one collection, as events. Knows nothing of who consumes them."""
