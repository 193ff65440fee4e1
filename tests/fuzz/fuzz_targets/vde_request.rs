//! What a VDE client says first.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netbridge::fuzzing::vde_request(bytes));
