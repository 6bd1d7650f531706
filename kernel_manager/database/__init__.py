"""What is remembered besides the sessions' own logs: records of files, configuration, assistants, usage."""
