"""Load: wrk or a client of our own in a closed loop for the questions, an open loop against any URL for users."""
