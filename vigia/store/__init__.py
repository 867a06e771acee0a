"""SQL, and nothing else speaks SQL."""
