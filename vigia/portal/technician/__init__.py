"""Pages for the technician: the day and the job, on a phone."""
