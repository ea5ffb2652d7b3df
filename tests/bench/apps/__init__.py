"""The small applications that the console is measured beside."""
