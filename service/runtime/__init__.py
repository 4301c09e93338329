"""What the event loop runs on: clock, tasks, fair queue, slicer, garbage collection."""
