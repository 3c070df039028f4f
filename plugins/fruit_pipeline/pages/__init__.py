"""What people see of runs: HTML pages, in Airflow's UI and as a file."""
