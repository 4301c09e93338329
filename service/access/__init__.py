"""Access: verifies ID tokens with the provider's keys, and finds the caller of a request."""
