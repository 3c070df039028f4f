"""Where data may lie, how it is encrypted, and what is redacted."""
