"""Who a caller with an ID token is: verified tokens, and the provider's keys that verify them."""
