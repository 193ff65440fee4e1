//! Requests to the kernel over a netlink socket.

use std::io;

use futures::{Future, StreamExt};
use nix::errno::Errno;
use rtnetlink::Handle;
use rtnetlink::packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload, NlasIterator,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, State};
use rtnetlink::packet_route::tc::TcMessage;
use rtnetlink::sys::AsyncSocket;

/// What the kernel answered instead of an acknowledgement.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) errno: io::Error,
    /// The kernel's own explanation; often empty.
    pub(crate) words: String,
}

impl Refusal {
    pub(crate) fn is(&self, code: Errno) -> bool {
        self.errno.raw_os_error() == Some(code as i32)
    }
}

impl From<io::Error> for Refusal {
    fn from(errno: io::Error) -> Self {
        Self { errno, words: String::new() }
    }
}

impl From<ErrorMessage> for Refusal {
    fn from(message: ErrorMessage) -> Self {
        Self { errno: message.to_io(), words: words(&message) }
    }
}

/// Opens a netlink socket in the network namespace of the calling thread.
///
/// The future moves messages between the socket and the handle; it ends once all clones of the handle are gone. Panics outside of a
/// tokio runtime.
pub(crate) fn connect() -> io::Result<(impl Future<Output = ()> + Send + 'static, Handle)> {
    let (mut connection, handle, _unsolicited) = rtnetlink::new_connection()?;
    // Only with the acknowledgement in hand can success be told from a connection that ended.
    connection.set_forward_ack(true);
    let socket = connection.socket_mut().socket_mut();
    socket.set_ext_ack(true)?;
    // Without this, refusals carry the whole request before the kernel's words.
    socket.set_cap_ack(true)?;
    Ok((connection, handle))
}

/// Creates a link; answers with it as it is then, or with nothing if the kernel doesn't echo (before Linux 6.1).
pub(crate) fn create_link(
    handle: &Handle,
    link: LinkMessage,
) -> impl Future<Output = Result<Option<LinkMessage>, Refusal>> + use<> {
    let answers = ask(handle, RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO);
    async { Ok(answers.await?.into_iter().find_map(as_link)) }
}

/// Changes the link that `link` names by its index or its name.
pub(crate) fn change_link(handle: &Handle, link: LinkMessage) -> impl Future<Output = Result<(), Refusal>> + use<> {
    let answers = ask(handle, RouteNetlinkMessage::NewLink(link), 0);
    async { answers.await.map(drop) }
}

/// Looks up the link that `link` names by its index or its name.
pub(crate) fn query_link(
    handle: &Handle,
    link: LinkMessage,
) -> impl Future<Output = Result<LinkMessage, Refusal>> + use<> {
    let answers = ask(handle, RouteNetlinkMessage::GetLink(link), 0);
    async {
        answers.await?.into_iter().find_map(as_link).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
    }
}

/// Removes the link that `link` names by its index or its name.
pub(crate) fn remove_link(handle: &Handle, link: LinkMessage) -> impl Future<Output = Result<(), Refusal>> + use<> {
    let answers = ask(handle, RouteNetlinkMessage::DelLink(link), 0);
    async { answers.await.map(drop) }
}

/// Adds an address to a link.
pub(crate) fn add_address(
    handle: &Handle,
    address: AddressMessage,
) -> impl Future<Output = Result<(), Refusal>> + use<> {
    let answers = ask(handle, RouteNetlinkMessage::NewAddress(address), NLM_F_CREATE | NLM_F_EXCL);
    async { answers.await.map(drop) }
}

/// Puts a queueing discipline in its place, or changes the one of its kind that is there.
pub(crate) fn put_qdisc(handle: &Handle, qdisc: TcMessage) -> impl Future<Output = Result<(), Refusal>> + use<> {
    let answers = ask(handle, RouteNetlinkMessage::NewQueueDiscipline(qdisc), NLM_F_CREATE | NLM_F_REPLACE);
    async { answers.await.map(drop) }
}

/// Looks up the queueing discipline of an interface that has the parent that `qdisc` names, with its statistics.
pub(crate) fn query_qdisc(
    handle: &Handle,
    qdisc: TcMessage,
) -> impl Future<Output = Result<TcMessage, Refusal>> + use<> {
    // Without the flag the kernel tells all who listen for changes, but not who asks.
    let answers = ask(handle, RouteNetlinkMessage::GetQueueDiscipline(qdisc), NLM_F_ECHO);
    async {
        answers.await?.into_iter().find_map(as_qdisc).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
    }
}

/// Removes the queueing discipline that `qdisc` names by its parent, with its filters.
pub(crate) fn remove_qdisc(handle: &Handle, qdisc: TcMessage) -> impl Future<Output = Result<(), Refusal>> + use<> {
    let answers = ask(handle, RouteNetlinkMessage::DelQueueDiscipline(qdisc), 0);
    async { answers.await.map(drop) }
}

/// Adds a filter to a queueing discipline.
pub(crate) fn add_filter(handle: &Handle, filter: TcMessage) -> impl Future<Output = Result<(), Refusal>> + use<> {
    let answers = ask(handle, RouteNetlinkMessage::NewTrafficFilter(filter), NLM_F_CREATE | NLM_F_EXCL);
    async { answers.await.map(drop) }
}

/// The index of the link that is the other end of `link`, in its namespace.
pub(crate) fn peer_index(link: &LinkMessage) -> u32 {
    // The kernel leaves it out where both ends have the same index.
    let peer = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Link(index) => Some(*index),
        _ => None,
    });
    peer.unwrap_or(link.header.index)
}

/// Whether frames pass: the link and its other end are up, and the kernel has noticed.
pub(crate) fn is_operational(link: &LinkMessage) -> bool {
    link.attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::OperState(State::Up)))
}

/// Sends a request and gathers what the kernel answers before its acknowledgement.
///
/// The request is queued at the call, not at the first poll: requests of one handle reach the kernel in the order of the calls.
fn ask(
    handle: &Handle,
    message: RouteNetlinkMessage,
    flags: u16,
) -> impl Future<Output = Result<Vec<RouteNetlinkMessage>, Refusal>> + use<> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let answers = handle.clone().request(request);
    async {
        let mut answers = answers.map_err(|_| closed())?;
        let mut gathered = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => gathered.push(message),
                NetlinkPayload::Error(acknowledgement) if acknowledgement.code.is_none() => return Ok(gathered),
                NetlinkPayload::Error(refusal) => return Err(refusal.into()),
                _ => {}
            }
        }
        Err(closed().into())
    }
}

fn as_link(message: RouteNetlinkMessage) -> Option<LinkMessage> {
    match message {
        RouteNetlinkMessage::NewLink(link) => Some(link),
        _ => None,
    }
}

fn as_qdisc(message: RouteNetlinkMessage) -> Option<TcMessage> {
    match message {
        RouteNetlinkMessage::NewQueueDiscipline(qdisc) => Some(qdisc),
        _ => None,
    }
}

pub(crate) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the netlink connection is closed because its tokio runtime ended")
}

/// The kernel's explanation in a refusal: `NLMSGERR_ATTR_MSG`, behind the header of the request (netlink(7), `NETLINK_EXT_ACK`).
fn words(message: &ErrorMessage) -> String {
    const HEADER: usize = 16;
    const MESSAGE: u16 = 1;

    let attributes = NlasIterator::new(message.header.get(HEADER..).unwrap_or_default());
    let text = attributes.flatten().find(|attribute| attribute.kind() == MESSAGE);
    text.map(|text| String::from_utf8_lossy(text.value()).trim_end_matches('\0').to_owned()).unwrap_or_default()
}
