//! Which address is behind which port.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an address is remembered after its last frame, as in a bridge of the kernel.
const AGEING: Duration = Duration::from_secs(300);

/// The most addresses that are remembered. Others are unknown, so that their frames go everywhere.
const MOST: usize = 16_384;

/// An address as the table knows it: of a host, within a VLAN (0 where frames have no tag).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Station(u64);

/// What the header of a frame says to a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// None if it goes to a group, or to all.
    pub(crate) to: Option<Station>,
    /// None if it claims to come from a group, which is nobody's address.
    pub(crate) from: Option<Station>,
}

impl Header {
    /// Reads the header of `frame`; none if it is too short to be a frame.
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let (header, rest) = frame.split_first_chunk::<{ crate::frame::HEADER }>()?;
        let tagged = matches!(header[12..14], [0x81, 0x00] | [0x88, 0xa8]);
        let vlan = match rest {
            [high, low, ..] if tagged => u16::from_be_bytes([high & 0x0f, *low]),
            _ => 0,
        };
        let station = |mac: &[u8]| {
            let mut bytes = [0; 8];
            bytes[..2].copy_from_slice(&vlan.to_be_bytes());
            bytes[2..].copy_from_slice(mac);
            (mac[0] & 1 == 0).then_some(Station(u64::from_be_bytes(bytes)))
        };
        Some(Self { to: station(&header[..6]), from: station(&header[6..12]) })
    }
}

/// The forwarding table of a switch whose ports are known as `P`.
#[derive(Debug)]
pub(crate) struct Table<P> {
    stations: HashMap<Station, (P, Instant)>,
}

impl<P: Copy + PartialEq> Table<P> {
    pub(crate) fn new() -> Self {
        Self { stations: HashMap::new() }
    }

    /// Learns that `station` is behind `port`. It may have moved.
    pub(crate) fn learn(&mut self, station: Station, port: P, now: Instant) {
        if let Some(known) = self.stations.get_mut(&station) {
            *known = (port, now);
            return;
        }
        if self.stations.len() >= MOST {
            self.stations.retain(|_, (_, seen)| now.duration_since(*seen) < AGEING);
        }
        if self.stations.len() < MOST {
            self.stations.insert(station, (port, now));
        }
    }

    /// The port behind which `station` is, if that is known.
    pub(crate) fn find(&self, station: Station, now: Instant) -> Option<P> {
        let (port, seen) = self.stations.get(&station)?;
        (now.saturating_duration_since(*seen) < AGEING).then_some(*port)
    }

    /// Forgets all stations behind `port`.
    pub(crate) fn forget(&mut self, port: P) {
        self.stations.retain(|_, (known, _)| *known != port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(to: u8, from: u8, rest: &[u8]) -> Vec<u8> {
        [&[to & 1, 0, 0, 0, 0, to][..], &[from & 1, 0, 0, 0, 0, from], rest].concat()
    }

    fn header(to: u8, from: u8, rest: &[u8]) -> Header {
        Header::read(&frame(to, from, rest)).unwrap()
    }

    #[test]
    fn short_frames_have_no_header() {
        assert_eq!(Header::read(&frame(2, 4, &[0])), None);
        assert_eq!(Header::read(&[]), None);
    }

    #[test]
    fn groups_are_nobody() {
        let header = header(1, 3, &[8, 0]);
        assert_eq!(header, Header { to: None, from: None });
    }

    #[test]
    fn a_station_is_known_within_its_vlan() {
        let untagged = header(2, 4, &[8, 0]);
        let tagged = header(2, 4, &[0x81, 0, 0xe0, 7, 8, 0]);
        assert_ne!(untagged.from, tagged.from);
        assert_eq!(tagged, header(2, 4, &[0x88, 0xa8, 0x00, 7]));
        // A tag that is cut off.
        assert_eq!(header(2, 4, &[0x81, 0, 7]), untagged);
    }

    #[test]
    fn stations_move_age_and_are_forgotten() {
        let (start, station) = (Instant::now(), header(2, 4, &[8, 0]).from.unwrap());
        let mut table = Table::new();
        assert_eq!(table.find(station, start), None);
        table.learn(station, 1, start);
        assert_eq!(table.find(station, start + AGEING / 2), Some(1));
        assert_eq!(table.find(station, start + AGEING), None);
        table.learn(station, 2, start + AGEING / 2);
        assert_eq!(table.find(station, start + AGEING), Some(2));
        table.forget(1);
        assert_eq!(table.find(station, start + AGEING), Some(2));
        table.forget(2);
        assert_eq!(table.find(station, start + AGEING), None);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded() {
        let start = Instant::now();
        let mut table = Table::new();
        let station = |number: usize| Station(u64::try_from(number).unwrap());
        for number in 0..2 * MOST {
            table.learn(station(number), 1, start);
        }
        assert_eq!(table.stations.len(), MOST);
        // Those that were there first stay, until they have not been seen for long.
        assert_eq!(table.find(station(0), start), Some(1));
        table.learn(station(2 * MOST), 1, start + AGEING);
        assert_eq!(table.stations.len(), 1);
    }
}
