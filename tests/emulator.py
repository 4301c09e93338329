"""Google's Firestore emulator, as the demo starts it, for the tests."""

from service.demo.google_emulator import HOW_TO_GET_IT, Emulator

__all__ = ["HOW_TO_GET_IT", "Emulator"]
