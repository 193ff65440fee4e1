//! One section of a pcapng file (draft-ietf-opsawg-pcapng), as bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};

use super::queue::Frame;
use crate::Direction;

/// The most bytes of a frame that are kept: what Wireshark takes at most.
pub(super) const SNAPLEN: usize = 1 << 18;

/// Bytes of a block of statistics.
const STATISTICS: usize = 52;
/// The most bytes, beside data and text, of a frame's block, and of the two that its interface needs if it is new.
pub(super) const OVERHEAD: usize = 88 + STATISTICS;
/// The most bytes of a comment beside its text, with what is added to it.
pub(super) const COMMENT: usize = 48;

/// Values of `if_tsresol` and `epb_flags`.
const NANOSECONDS: u8 = 9;
const INBOUND: u32 = 0b01;
const OUTBOUND: u32 = 0b10;

/// Turns frames into blocks. Interfaces are described when they first have a frame in the section.
pub(super) struct Section {
    blocks: PcapNgWriter<Vec<u8>>,
    interfaces: HashMap<Arc<str>, u32>,
}

impl Section {
    pub(super) fn new(comments: impl IntoIterator<Item = String>) -> io::Result<Self> {
        let mut options = vec![
            SectionHeaderOption::OS(system().into()),
            SectionHeaderOption::UserApplication(concat!("netbridge ", env!("CARGO_PKG_VERSION")).into()),
        ];
        options.extend(comments.into_iter().map(|text| SectionHeaderOption::Comment(option_text(text.into()))));
        // The library writes the time of statistics as one number of 64 bits. The format wants the high half first, so both agree only
        // in this order.
        let header = SectionHeaderBlock { endianness: Endianness::Big, options, ..Default::default() };
        let blocks = PcapNgWriter::with_section_header(Vec::new(), header).map_err(io::Error::other)?;
        Ok(Self { blocks, interfaces: HashMap::new() })
    }

    pub(super) fn frame(&mut self, frame: &Frame, comments: impl IntoIterator<Item = String>) -> io::Result<()> {
        let interface_id = self.interface(&frame.interface)?;
        let flags = frame.direction.map(|direction| match direction {
            Direction::In => INBOUND,
            Direction::Out => OUTBOUND,
        });
        let comments = comments.into_iter().map(|text| EnhancedPacketOption::Comment(option_text(text.into())));
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: since_epoch(frame.at),
            original_len: frame.original_length,
            data: Cow::Borrowed(&frame.data),
            options: flags.map(EnhancedPacketOption::Flags).into_iter().chain(comments).collect(),
        };
        self.blocks.write_pcapng_block(block).map_err(io::Error::other)?;
        Ok(())
    }

    /// Says how many frames an interface has had since the capture began, and how many of them are missing.
    pub(super) fn statistics(&mut self, interface: &Arc<str>, received: u64, dropped: u64) -> io::Result<()> {
        let block = InterfaceStatisticsBlock {
            interface_id: self.interface(interface)?,
            timestamp: u64::try_from(since_epoch(SystemTime::now()).as_nanos()).unwrap_or(u64::MAX),
            options: vec![
                InterfaceStatisticsOption::IsbIfRecv(received),
                InterfaceStatisticsOption::IsbIfDrop(dropped),
            ],
        };
        self.blocks.write_pcapng_block(block).map_err(io::Error::other)?;
        Ok(())
    }

    /// The interfaces described so far.
    pub(super) fn interfaces(&self) -> Vec<Arc<str>> {
        self.interfaces.keys().cloned().collect()
    }

    /// Whether it holds nothing but its header.
    pub(super) fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
    }

    /// Bytes that statistics of all its interfaces will have.
    pub(super) fn statistics_length(&self) -> usize {
        self.interfaces.len() * STATISTICS
    }

    /// The blocks since they were last taken.
    pub(super) fn blocks(&mut self) -> &mut Vec<u8> {
        self.blocks.get_mut()
    }

    /// The number of an interface, which is described if it is new.
    fn interface(&mut self, name: &Arc<str>) -> io::Result<u32> {
        if let Some(&id) = self.interfaces.get(name) {
            return Ok(id);
        }
        let id = u32::try_from(self.interfaces.len()).map_err(io::Error::other)?;
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: u32::try_from(SNAPLEN).map_err(io::Error::other)?,
            options: vec![
                InterfaceDescriptionOption::IfName(option_text((&**name).into())),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        self.blocks.write_pcapng_block(block).map_err(io::Error::other)?;
        self.interfaces.insert(name.clone(), id);
        Ok(id)
    }
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {release}").trim_end().to_owned()
}

/// Times before 1970 cannot be written.
fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// As much of a text as an option can have, whose length has 16 bits.
fn option_text(text: Cow<'_, str>) -> Cow<'_, str> {
    let limit = usize::from(u16::MAX);
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    text[..end].to_owned().into()
}
