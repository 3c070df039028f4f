"""Features to a label: learnt on components, judged on what was not learnt from, and kept with its card."""
