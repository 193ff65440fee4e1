//! `tandem repl` with a person at a terminal, and breakpoints, over real containers.

#[cfg(test)]
mod breakpoint;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod prompt;
#[cfg(test)]
mod shells;
#[cfg(test)]
mod stage;
