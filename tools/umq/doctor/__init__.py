"""Why it does not work, step by step."""
