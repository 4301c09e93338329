"""Chooses the source of each answer: the model, the direct-read cache, or Firestore."""
