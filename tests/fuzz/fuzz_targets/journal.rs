//! A line of a guest's journal.
#![no_main]

use std::sync::mpsc::{Sender, channel};

use driver_core::event::{Event, Kind, Recorder, Sink};
use driver_core::journal::Entry;

struct Events(Sender<Event>);

impl Sink for Events {
    fn event(&mut self, event: &Event) {
        let _ = self.0.send(event.clone());
    }
}

// What is recorded is no longer than what came, as far as it is the guest's own, and can be read again.
libfuzzer_sys::fuzz_target!(|line: &[u8]| {
    let Some(entry) = Entry::parse(line) else { return };
    let (sender, events) = channel();
    entry.record(&Recorder::new(vec![Box::new(Events(sender))]));
    let events: Vec<Event> = events.try_iter().collect();
    assert!((1..=2).contains(&events.len()));
    for event in events {
        if let Kind::Journal { message, unit, .. } = &event.kind {
            let length = message.len() + unit.as_ref().map_or(0, String::len);
            assert!(length <= 3 * line.len(), "{length} bytes of {}", line.len());
        }
        let written = serde_json::to_string(&event).expect("it can be written");
        let read: Event = serde_json::from_str(&written).expect("it can be read");
        assert_eq!((read.guest_time.is_some(), read.kind), (event.guest_time.is_some(), event.kind));
    }
});
