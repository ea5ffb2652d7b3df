"""Pauses an OpenZeppelin `Pausable` contract under a freeze, and says so once the chain shows it."""
