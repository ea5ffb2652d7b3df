"""The non-interactive twins of the screens: one module per group of commands, imported only when it is called."""
