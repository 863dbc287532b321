"""Processes of such programs: only names."""
