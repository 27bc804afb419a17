"""profile: recording -> JobProfile, what the job does with its time. Pure."""
