"""Does the service ever answer wrongly? Clients poll while everything around it is broken, and every answer is checked.

Run it with `python -m benchmarks.chaos`.
"""
