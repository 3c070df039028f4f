"""What a run costs: prices, estimates before it, the bill after it, and the budgets that refuse it."""
