//! A configuration of upstream's test driver.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| driver_core::spec::fuzzing::configuration(text));
