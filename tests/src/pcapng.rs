//! What is in a capture.

use std::path::Path;

use crate::TestResult;

/// The type of a block that has a frame: an Enhanced Packet Block.
const FRAME: u32 = 6;

/// How many frames are in a pcapng file of netbridge, big-endian, which must be whole: a row of blocks, each with its type before and its length around it.
pub fn frames(path: &Path) -> TestResult<u64> {
    let file = std::fs::read(path)?;
    let mut rest = &file[..];
    let mut count = 0;
    while !rest.is_empty() {
        let word = |at: usize| rest.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let (kind, length) = word(0).zip(word(4)).ok_or("a block is cut off")?;
        let end = usize::try_from(length)?;
        if end < 12 || word(end - 4) != Some(length) {
            return Err(format!("block {kind:#x} at {} is broken", file.len() - rest.len()).into());
        }
        count += u64::from(kind == FRAME);
        rest = &rest[end..];
    }
    if file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) { Ok(count) } else { Err("it is no pcapng file".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, length: u32, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &length.to_be_bytes(), body, &length.to_be_bytes()].concat()
    }

    #[test]
    fn frames_are_counted_in_whole_files_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pcapng");
        let count = |blocks: &[Vec<u8>]| {
            std::fs::write(&path, blocks.concat()).unwrap();
            frames(&path)
        };
        let (head, frame) = (block(0x0a0d_0d0a, 16, b"head"), block(FRAME, 20, b"a frame!"));
        assert_eq!(count(&[head.clone(), frame.clone(), block(1, 12, b""), frame.clone()]).unwrap(), 2);
        count(&[head.clone(), frame[..18].to_vec()]).unwrap_err();
        count(&[head, block(FRAME, 4, b"")]).unwrap_err();
        count(&[frame]).unwrap_err();
        count(&[]).unwrap_err();
    }
}
