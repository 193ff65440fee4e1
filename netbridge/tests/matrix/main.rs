//! Every kind of port with every other, on every kind of segment: each pair is a test, which prints what it did.
//!
//! They need root, or unprivileged user namespaces; those of VDE need the program `vde_plug2tap`.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "all of this is test code, and a skip has to be seen")]

#[path = "../endpoint/mod.rs"]
#[expect(dead_code, reason = "the benchmark uses the rest")]
mod endpoint;
#[macro_use]
#[path = "../network/harness.rs"]
#[expect(dead_code, reason = "the tests of networks use the rest")]
mod harness;
mod echo;
mod everybody;
mod flood;
mod pair;
mod tagged;

/// A test for each pair of kinds, on one kind of segment.
macro_rules! pairs {
    ($fabric:ident: $($name:ident($one:ident, $two:ident);)*) => {
        $(network_test!($name, || crate::pair::check(
            crate::pair::Fabric::$fabric,
            crate::endpoint::Kind::$one,
            crate::endpoint::Kind::$two,
        ));)*
    };
}

mod bridge {
    pairs! { Bridge:
        veth_and_veth(Veth, Veth);
        veth_and_tap(Veth, Tap);
        tap_and_tap(Tap, Tap);
    }
}
