//! Test scripts against fake machines, with a real interpreter.

#[cfg(test)]
mod check;
#[cfg(test)]
mod compatible;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod lan;
#[cfg(test)]
mod names;
#[cfg(test)]
mod polling;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod python;
#[cfg(test)]
mod record;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod verbs;
