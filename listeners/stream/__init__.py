"""The listener on Firestore's Listen RPC."""
