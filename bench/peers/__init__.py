"""What people usually write for the same work, as Spark applications that take the same arguments."""
