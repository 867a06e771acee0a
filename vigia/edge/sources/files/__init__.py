"""Reads machines that write files."""
