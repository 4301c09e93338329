"""Keeps what is held by the hundred thousand out of the garbage collector's sight.

A collection walks every container it tracks, and the event loop waits for it: 17 to 48 ms where 100,000 processes are
held, at any moment, for an object that replaces another does not count towards the collector's thresholds, and all that
came since wait for the next collection. Documents and processes refer to nothing that could refer back to them:
reference counting frees them all. Python has no word for that, its C API has:
https://docs.python.org/3/c-api/gcsupport.html#c.PyObject_GC_UnTrack
"""

import ctypes

untrack = ctypes.pythonapi.PyObject_GC_UnTrack
"""Takes one object, which must never be part of a cycle. 0.2 µs."""

untrack.argtypes = (ctypes.py_object,)
untrack.restype = None
