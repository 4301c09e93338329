"""`process-status demo`: a local Firestore, a simulated workload, and the service on top, in one command."""
