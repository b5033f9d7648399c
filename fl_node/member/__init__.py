"""Taking part in a task: opening it, joining it, acting in its rounds, and the same as a plain loop."""
