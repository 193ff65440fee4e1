//! The requests of tc(8), as messages.

use rtnetlink::packet_core::DefaultNla;
use rtnetlink::packet_route::tc::{
    TcAction, TcActionAttribute, TcActionGeneric, TcActionMirror, TcActionMirrorOption, TcActionOption, TcActionType,
    TcAttribute, TcFilterMatchAll, TcFilterMatchAllOption, TcHandle, TcMessage, TcMirror, TcMirrorActionType, TcOption,
};

/// `TCA_OPTIONS`. The library cannot say it where raw bytes come before the attributes.
const OPTIONS: u16 = 2;

/// The handle that the ingress qdisc always has, and its filters have as their parent.
const INGRESS: TcHandle = TcHandle { major: 0xffff, minor: 0 };

/// All protocols (`ETH_P_ALL`) at priority 1; the protocol is in network byte order.
const ALL_FRAMES: u32 = 1 << 16 | 0x0003_u16.to_be() as u32;

/// The root qdisc of an interface (`dev INDEX root`).
pub(crate) fn root(index: u32) -> TcMessage {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.parent = TcHandle::ROOT;
    message
}

/// A netem as root qdisc (`dev INDEX root netem`). Without options the kernel refuses it.
pub(crate) fn netem(index: u32, options: Option<Vec<u8>>) -> TcMessage {
    let mut message = root(index);
    message.attributes = vec![TcAttribute::Kind("netem".to_owned())];
    message.attributes.extend(options.map(|options| TcAttribute::Other(DefaultNla::new(OPTIONS, options))));
    message
}

/// The qdisc that has filters look at what comes in (`dev INDEX ingress`).
pub(crate) fn ingress(index: u32) -> TcMessage {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.handle = INGRESS;
    message.header.parent = TcHandle::INGRESS;
    message.attributes = vec![TcAttribute::Kind("ingress".to_owned())];
    message
}

/// A filter that has all that comes in at `from` sent by `to`
/// (`dev FROM parent ffff: protocol all prio 1 matchall action mirred egress redirect dev TO`).
pub(crate) fn redirect(from: u32, to: u32) -> TcMessage {
    let mut generic = TcActionGeneric::default();
    generic.action = TcActionType::Stolen;
    let mut mirred = TcMirror::default();
    mirred.generic = generic;
    mirred.eaction = TcMirrorActionType::EgressRedir;
    mirred.ifindex = to;
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(mirred))]),
    ];
    let actions = TcOption::MatchAll(TcFilterMatchAllOption::Action(vec![action]));

    let mut message = TcMessage::with_index(from.cast_signed());
    message.header.parent = INGRESS;
    message.header.info = ALL_FRAMES;
    message.attributes =
        vec![TcAttribute::Kind(TcFilterMatchAll::KIND.to_owned()), TcAttribute::Options(vec![actions])];
    message
}

// Recorded from `tc` of iproute2 6.1 on a little-endian machine.
#[cfg(all(test, target_endian = "little"))]
mod tests {
    use rtnetlink::packet_core::Emitable;

    use super::*;

    fn hex(message: &TcMessage) -> String {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    #[test]
    fn netem_is_the_root() {
        let head = ["00000000", "01000000", "00000000", "ffffffff", "00000000"].concat();
        let kind = "0a000100".to_owned() + "6e6574656d000000";
        assert_eq!(hex(&netem(1, Some(vec![7; 4]))), head.clone() + &kind + "0800020007070707");
        assert_eq!(hex(&netem(1, None)), head + &kind);
    }

    #[test]
    fn ingress_has_its_own_handle() {
        let head = ["00000000", "01000000", "0000ffff", "f1ffffff", "00000000"].concat();
        assert_eq!(hex(&ingress(1)), head + "0c000100" + "696e677265737300");
    }

    #[test]
    fn all_frames_are_redirected() {
        let head = ["00000000", "01000000", "00000000", "0000ffff", "00030100"].concat();
        let kind = "0d000100".to_owned() + "6d61746368616c6c00000000";
        // The flag of nested attributes, which `tc` leaves out in some places, means nothing to the kernel here.
        let nested = hex(&redirect(1, 2)).replace("2400028020", "2400020020");
        let action = "0b0001006d69727265640000";
        let parameters = "20000200".to_owned() + "0000000000000000040000000000000000000000" + "01000000" + "02000000";
        assert_eq!(nested, head + &kind + "3c000200" + "38000200" + "34000100" + action + "24000200" + &parameters);
    }
}
