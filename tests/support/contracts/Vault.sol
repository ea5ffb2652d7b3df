// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

/// A contract that trades until its owner pauses it.
contract Vault is Ownable, Pausable {
    uint256 public trades;

    constructor(address owner) Ownable(owner) {}

    function trade() external whenNotPaused {
        trades += 1;
    }

    function pause() external onlyOwner {
        _pause();
    }

    function unpause() external onlyOwner {
        _unpause();
    }
}
