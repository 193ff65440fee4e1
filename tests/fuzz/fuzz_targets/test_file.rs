//! A test file in each of its forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| driver_core::spec::fuzzing::test_file(text));
