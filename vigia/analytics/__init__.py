"""What the readings mean: detectors in the ingest pass, failure prognosis beside it, and how good both are."""
