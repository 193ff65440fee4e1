//! The modules for NixOS and for nixpkgs' test framework.
//!
//! `settings` and `report` need no other Nix code than the modules' own: a module is a function, and what `lib` gives to these is a few lines.
//! `library` has them evaluated by nixpkgs' own `lib`, where somebody has it.

#[cfg(test)]
mod library;
#[cfg(test)]
mod nix;
#[cfg(test)]
mod report;
#[cfg(test)]
mod settings;
