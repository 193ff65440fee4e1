//! `tandem ps`, `tandem clean` and `tandem attach` over real runs with containers.

#[cfg(test)]
mod attach;
#[cfg(test)]
mod listed;
#[cfg(test)]
mod stage;
