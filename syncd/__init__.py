"""Keeps one OAuth login alive across every program that holds a copy of it."""

__version__ = "0.1.0"
