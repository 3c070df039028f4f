"""From a work list to pixels: list, fetch, check and decode photos."""
