"""Live risk: four measures against the policy and three indicators with their reasons."""
