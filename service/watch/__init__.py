"""Long polls and event streams: delivers every change to the clients that wait for it. Knows no HTTP."""
