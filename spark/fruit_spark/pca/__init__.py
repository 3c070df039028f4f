"""Principal components: moments in one pass, two solvers, and the plot of what is kept."""
