"""REST for programs: nouns under `/api/v1`, errors as problems, live changes as server-sent events."""
