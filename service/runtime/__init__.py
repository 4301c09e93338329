"""The foundation of the event loop's work: clock, tasks, fair queue, slicer, garbage collection."""
