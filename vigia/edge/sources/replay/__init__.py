"""Replays recorded machines."""
