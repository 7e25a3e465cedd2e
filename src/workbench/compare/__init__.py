"""What an answer is worth, without a judge model."""
