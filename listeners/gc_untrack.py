"""Hides objects of which the service keeps very many from the garbage collector.

A collection looks at every tracked container, and the event loop waits meanwhile. Documents and processes never take
part in reference cycles, so reference counting frees them all. Python has no function to untrack an object, but its C
API has: https://docs.python.org/3/c-api/gcsupport.html#c.PyObject_GC_UnTrack
"""

import ctypes

untrack = ctypes.pythonapi.PyObject_GC_UnTrack
"""Untrack one object. It must never be part of a cycle."""

untrack.argtypes = (ctypes.py_object,)
untrack.restype = None
