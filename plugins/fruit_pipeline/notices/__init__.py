"""What people are told of without looking for it, and how it reaches them."""
