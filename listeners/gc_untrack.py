"""Keeps what is held by the hundred thousand out of the garbage collector's sight.

A collection walks every container that it tracks, and the event loop waits for it. Documents and processes refer to
nothing that could refer back to them, so reference counting frees them all. Python has no function for that; its C API
has: https://docs.python.org/3/c-api/gcsupport.html#c.PyObject_GC_UnTrack
"""

import ctypes

untrack = ctypes.pythonapi.PyObject_GC_UnTrack
"""Takes one object, which must never be part of a cycle."""

untrack.argtypes = (ctypes.py_object,)
untrack.restype = None
