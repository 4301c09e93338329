"""What one would pick instead of this service, each as small as it can be and as fast as it comes.

Each is a program of its own; `start.py` knows how to start them, and which can't be started here.
"""
