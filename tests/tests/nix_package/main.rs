//! `nix/package.nix`, `nix/default.nix` and `flake.nix`, without nixpkgs: what they hand to it is recorded by a stand-in and looked at, and what
//! it would run is run.

#[cfg(test)]
mod builds;
#[cfg(test)]
mod entrances;
#[cfg(test)]
mod installed;
#[cfg(test)]
mod nix;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod source;
