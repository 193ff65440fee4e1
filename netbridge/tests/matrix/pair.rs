//! What has to work between two machines, whatever they are plugged in by.

use std::io::Write;
use std::time::Instant;

use netbridge::Segment;

use crate::endpoint::{Endpoint, Kind, transfer};
use crate::harness::{name, namespace};
use crate::{echo, everybody, flood, tagged};

/// What carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fabric {
    Bridge,
    Switch,
}

impl Fabric {
    async fn lan(self, kinds: [Kind; 2]) -> Segment {
        match self {
            Self::Bridge => Segment::bridge(namespace().await, name("lan")).await.unwrap(),
            // One without a namespace where that is enough.
            Self::Switch => {
                let needed = kinds.iter().any(|kind| kind.needs_namespace());
                let namespace = if needed { Some(namespace().await) } else { None };
                Segment::switch(namespace, name("lan"))
            }
        }
    }
}

/// How much goes each way: 256 MB both.
const MEGABYTES: u32 = 128;

/// Whether frames of 9000 bytes can pass.
fn takes_jumbo(kind: Kind) -> bool {
    match kind {
        Kind::Veth | Kind::TapDescriptor | Kind::TapDescriptorVnet | Kind::Dgram | Kind::Stream => true,
        // Nobody can say the MTU of the one; the buffer of the other's program is too short.
        Kind::Tap | Kind::Vde => false,
    }
}

pub(crate) async fn check(fabric: Fabric, one: Kind, two: Kind) {
    let began = Instant::now();
    let lan = fabric.lan([one, two]).await;
    let [a, b] = [Endpoint::plug(&lan, one, 1, 1500).await.unwrap(), Endpoint::plug(&lan, two, 2, 1500).await.unwrap()];
    if [one, two].contains(&Kind::Vde) {
        // The program makes its tap some time before it moves frames.
        echo::until_it_comes_back(&a, b.v4()).await;
    }
    for (from, to) in [(&a, &b), (&b, &a)] {
        echo::small_and_full(from, to, 1500).await;
        everybody::check(from, to).await;
        tagged::check(from, to).await;
    }
    let transferring = Instant::now();
    transfer(&a, &b, b.v4(), MEGABYTES).await.unwrap();
    transfer(&b, &a, a.v6(), MEGABYTES).await.unwrap();
    let transferring = transferring.elapsed().as_secs_f64();
    let jumbo = takes_jumbo(one) && takes_jumbo(two);
    if jumbo {
        let lan = fabric.lan([one, two]).await;
        let [a, b] =
            [Endpoint::plug(&lan, one, 1, 9000).await.unwrap(), Endpoint::plug(&lan, two, 2, 9000).await.unwrap()];
        echo::small_and_full(&a, &b, 9000).await;
        echo::small_and_full(&b, &a, 9000).await;
    }
    let flooder = Endpoint::plug(&lan, one, 3, 1500).await.unwrap();
    let flood = flood::check(&flooder, [&a, &b]).await;

    let (fabric, kinds) = (format!("{fabric:?}").to_lowercase(), format!("{one} and {two}"));
    let sizes = if jumbo { "64, 1500, 9000" } else { "64, 1500" };
    let row = format!(
        "matrix: {fabric} {kinds:39} ping and ping6 of {sizes:14}; broadcast, multicast, tags; TCP 2 x {MEGABYTES} MB in {transferring:3.1} s; \
         {flood}; {:4.1} s\n",
        began.elapsed().as_secs_f64()
    );
    // Seen also where the test passes.
    std::io::stderr().write_all(row.as_bytes()).unwrap();
}
