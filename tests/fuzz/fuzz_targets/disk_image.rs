//! A file that is said to be a disk's image, and where a root is on a disk.
#![no_main]

use backend_qemu::arch::X86_64;
use backend_qemu::volume::roots;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    driver_core::spec::fuzzing::disk_image(bytes);
    let read = |offset: u64, length: usize| {
        assert!(length <= 1 << 20, "{length} bytes are read at once");
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        Ok(rest[..length.min(rest.len())].to_vec())
    };
    if let Ok(volumes) = roots(X86_64.root_partition, read) {
        assert!((1..=128).contains(&volumes.len()));
    }
});
