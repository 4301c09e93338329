"""Which source answers: the model, remembered reads, or Firestore."""
