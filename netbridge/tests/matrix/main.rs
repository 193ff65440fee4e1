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

/// A test for each pair of kinds, on each kind of segment.
macro_rules! pairs {
    (on each: $($name:ident($one:ident, $two:ident);)*) => {
        mod bridge { pairs! { on Bridge: $($name($one, $two);)* } }
        mod switch { pairs! { on Switch: $($name($one, $two);)* } }
    };
    (on $fabric:ident: $($name:ident($one:ident, $two:ident);)*) => {
        $(network_test!($name, || crate::pair::check(
            crate::pair::Fabric::$fabric,
            crate::endpoint::Kind::$one,
            crate::endpoint::Kind::$two,
        ));)*
    };
}

pairs! { on each:
    veth_and_veth(Veth, Veth);
    veth_and_tap(Veth, Tap);
    veth_and_tap_descriptor(Veth, TapDescriptor);
    veth_and_tap_descriptor_vnet(Veth, TapDescriptorVnet);
    veth_and_dgram(Veth, Dgram);
    veth_and_stream(Veth, Stream);
    veth_and_vde(Veth, Vde);
    tap_and_tap(Tap, Tap);
    tap_and_tap_descriptor(Tap, TapDescriptor);
    tap_and_tap_descriptor_vnet(Tap, TapDescriptorVnet);
    tap_and_dgram(Tap, Dgram);
    tap_and_stream(Tap, Stream);
    tap_and_vde(Tap, Vde);
    tap_descriptor_and_tap_descriptor(TapDescriptor, TapDescriptor);
    tap_descriptor_and_tap_descriptor_vnet(TapDescriptor, TapDescriptorVnet);
    tap_descriptor_and_dgram(TapDescriptor, Dgram);
    tap_descriptor_and_stream(TapDescriptor, Stream);
    tap_descriptor_and_vde(TapDescriptor, Vde);
    tap_descriptor_vnet_and_tap_descriptor_vnet(TapDescriptorVnet, TapDescriptorVnet);
    tap_descriptor_vnet_and_dgram(TapDescriptorVnet, Dgram);
    tap_descriptor_vnet_and_stream(TapDescriptorVnet, Stream);
    tap_descriptor_vnet_and_vde(TapDescriptorVnet, Vde);
    dgram_and_dgram(Dgram, Dgram);
    dgram_and_stream(Dgram, Stream);
    dgram_and_vde(Dgram, Vde);
    stream_and_stream(Stream, Stream);
    stream_and_vde(Stream, Vde);
    vde_and_vde(Vde, Vde);
}
