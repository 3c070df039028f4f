"""What people choose: the parameters of a run, and the settings of an installation."""
