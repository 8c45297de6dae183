"""Places: where a job or an endpoint runs, and how it is reached."""
