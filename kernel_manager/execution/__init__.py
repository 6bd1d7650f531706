"""One cell: sent, watched, collected."""
