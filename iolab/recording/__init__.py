"""From a scenario to a Timeline: who sends what and when, what the kernel left as evidence, and what follows."""
