"""Load: wrk or a client of our own in a closed loop for the benchmarks, an open loop against any URL for users."""
