//! Machines as upstream's Nix code makes them: guests to NixOS' guest contract, started by scripts to its script contract.

pub mod vm;
