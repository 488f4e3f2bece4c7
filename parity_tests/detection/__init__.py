"""How good is the rule? Mistakes to find, right twins to leave alone, and other rules to compare with."""
