"""What the event loop runs on: clock, tasks, queues, slices, garbage collection."""
