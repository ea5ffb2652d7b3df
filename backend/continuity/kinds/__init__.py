"""What steps of a plan do: one module a kind. None of them knows the run it is part of."""
