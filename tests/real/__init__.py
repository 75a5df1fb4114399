"""The tests against the real programs: unpatched Codex and OpenClaw, a loopback authority, syncd between.

To run them: `python tests/real/install.py`, then `pytest tests/real`.
"""
