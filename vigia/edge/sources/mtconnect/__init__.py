"""Follows machines that an MTConnect agent speaks for."""
