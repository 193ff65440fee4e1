//! What comes on a stream of frames, and how it is cut into reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (Vec<u16>, &[u8])| netbridge::fuzzing::qemu_stream(&input.0, input.1));
