"""Waiting instead of polling: long polls, and event streams of one process or of all."""
