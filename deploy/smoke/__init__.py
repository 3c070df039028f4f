"""``make aws-smoke``: two small runs in a real AWS account, and what they tell that nothing else can."""
