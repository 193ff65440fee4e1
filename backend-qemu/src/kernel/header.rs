//! Which kernel an image is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::KernelError;

/// What an image calls itself: by its header on x86 (kernel, Documentation/arch/x86/boot.rst), else by its name `vmlinuz-RELEASE`.
pub(super) fn release(image: &Path) -> Result<String, KernelError> {
    let file = File::open(image).map_err(KernelError::unreadable(image))?;
    let by_header = of_header(&file).map_err(KernelError::unreadable(image))?;
    let by_name = || super::name(image).strip_prefix("vmlinuz-").filter(|release| is_release(release));
    by_header.or_else(|| by_name().map(str::to_owned)).ok_or_else(|| KernelError::NotAKernel(image.to_owned()))
}

/// The first word of the text that the header's `kernel_version` points at.
fn of_header(file: &File) -> io::Result<Option<String>> {
    /// `header` at 0x202 up to the end of `kernel_version` at 0x20e.
    const MAGIC: u64 = 0x202;
    let mut header = [0; 14];
    if !read(file, &mut header, MAGIC)? || header[..4] != *b"HdrS" {
        return Ok(None);
    }
    let place = u16::from_le_bytes([header[12], header[13]]);
    let mut text = [0; 256];
    let length = file.read_at(&mut text, u64::from(place) + 0x200)?;
    let text = text[..length].split(|byte| *byte == 0).next().unwrap_or_default();
    let release = std::str::from_utf8(text).ok().and_then(|text| text.split_whitespace().next());
    Ok(release.filter(|release| place != 0 && is_release(release)).map(str::to_owned))
}

/// Whether a word can be part of a path and of a message.
fn is_release(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "._-+~".contains(c))
}

/// Fills a buffer; false if the file is too short.
fn read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The head of an x86 image with this version text.
    pub(in crate::kernel) fn image(version: &str) -> Vec<u8> {
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x180_u16.to_le_bytes());
        image[0x380..0x380 + version.len()].copy_from_slice(version.as_bytes());
        image
    }

    #[test]
    fn images_say_their_release() {
        let directory = tempfile::tempdir().unwrap();
        let long = "6".repeat(100);
        for (name, content, expected) in [
            (
                "bzImage",
                image("6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP"),
                Some("6.1.0-56-cloud-amd64"),
            ),
            // The header knows better than whoever named the file.
            ("vmlinuz-5.0", image("6.1.0 (x)"), Some("6.1.0")),
            ("vmlinuz-5.0", b"MZ arm64".to_vec(), Some("5.0")),
            ("vmlinuz", b"MZ arm64".to_vec(), None),
            ("bzImage", image("../../etc (x)"), None),
            ("bzImage", image(""), None),
            ("bzImage", image(&long), Some(long.as_str())),
            ("bzImage", image("6.1 x")[..0x300].to_vec(), None),
            ("bzImage", Vec::new(), None),
        ] {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            assert_eq!(release(&path).ok().as_deref(), expected, "{name}");
        }
        assert!(matches!(release(&directory.path().join("none")), Err(KernelError::Unreadable { .. })));
    }
}
