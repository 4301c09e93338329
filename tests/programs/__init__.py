"""The program as a process: how it starts, ends, freezes and survives faults. `make test-programs` runs these tests."""
