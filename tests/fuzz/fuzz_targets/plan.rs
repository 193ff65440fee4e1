//! What the first program of a guest is told to do.
#![no_main]

#[allow(dead_code)]
#[path = "../../../backend-qemu/init/plan.rs"]
mod plan;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(plan) = plan::Plan::parse(bytes) {
        assert!(!plan.steps.is_empty() && plan.steps.len() <= bytes.len());
    }
});
