"""Pages of the documentation that commands write."""
