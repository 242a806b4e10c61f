"""Which jobs would rerun, and what changed since their files were made."""
